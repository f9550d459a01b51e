"""Where in a window a change may begin."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Course"]

_MOST_BLOCKS = 32  # of rows; a change is looked for between two
_LEAST_ROWS = 5  # of a block


@dataclass(frozen=True)
class Course:
    """Where a change may begin.

    Attributes
    ----------
    starts : ndarray of int, shape (start,)
        First row after each; 0 is a change before the window.
    """

    starts: NDArray[np.int64]

    @classmethod
    def blocks(cls, rows: int) -> Course:
        """Cut a window into blocks of equal size."""
        return cls.even(rows, max(1, min(_MOST_BLOCKS, rows // _LEAST_ROWS)))

    @classmethod
    def even(cls, rows: int, most: int) -> Course:
        """Let a change begin at so many rows, evenly spread, or at every one."""
        count = min(most, rows)
        return cls((np.arange(count) * rows) // count)

    def sums(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Add up the rows from each start on. Shapes (row, ...) to (start, ...)."""
        parts = np.add.reduceat(values, self.starts, axis=0)
        return np.cumsum(parts[::-1], axis=0)[::-1]
