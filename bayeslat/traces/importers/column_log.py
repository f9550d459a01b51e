"""Rows that are gathered one by one and wanted as columns, in little memory."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["ColumnLog"]


class ColumnLog:
    """Columns of numbers, 8 bytes a cell, that grow by rows.

    Parameters
    ----------
    names : sequence of str
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._cells = {name: array("d") for name in names}
        self.n_rows = 0

    def add(self, row: Mapping[str, float]) -> int:
        """Add a row and return its position; what it lacks is NaN."""
        for name, cells in self._cells.items():
            cells.append(row.get(name, np.nan))
        self.n_rows += 1
        return self.n_rows - 1

    def get(self, position: int, name: str) -> float:
        """Return a cell."""
        return self._cells[name][position]

    def set(self, position: int, name: str, value: float) -> None:
        """Change a cell."""
        self._cells[name][position] = value

    def __getitem__(self, name: str) -> NDArray[np.float64]:
        """Return a column, shape (row,)."""
        return np.array(self._cells[name], dtype=np.float64)

    def slices(self, n_rows: int) -> Iterator[tuple[slice, dict[str, NDArray[np.float64]]]]:
        """Give the rows in order, at most so many at a time."""
        for first in range(0, self.n_rows, n_rows):
            rows = slice(first, min(first + n_rows, self.n_rows))
            yield rows, {name: np.array(cells[rows]) for name, cells in self._cells.items()}
