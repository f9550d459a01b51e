"""Windows: the statistics of one batch of rows each, so that an old one can be taken out again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from bayeslat.model.statistics import Statistics

__all__ = ["StageSums", "Window", "total_sums"]


@dataclass(frozen=True, eq=False)
class StageSums:
    """What the rows of a window say about one stage.

    Attributes
    ----------
    statistics : Statistics
    measured : ndarray of int, shape (group,)
        Rows that hold the stage.
    beyond : int
        Rows that lie beyond the training range in a residual feature, and count as at its edge.
    """

    statistics: Statistics
    measured: NDArray[np.int64]
    beyond: int = 0

    @classmethod
    def of(cls, statistics: Statistics, measured: Sequence[int]) -> StageSums:
        """Take the statistics of a fit as those of a window."""
        return cls(statistics, np.array(measured, dtype=np.int64))

    def only(self, groups: NDArray[np.bool_]) -> StageSums:
        """Return the sums of some groups; those of the others are 0."""
        held = self.statistics
        kept = Statistics(
            gram=held.gram * groups[:, None, None],
            moment=held.moment * groups[:, None],
            square=held.square * groups,
            rows=held.rows * groups,
        )
        return StageSums(kept, self.measured * groups, self.beyond)

    def __add__(self, other: StageSums) -> StageSums:
        """Return the sums of both sets of rows."""
        return StageSums(
            self.statistics + other.statistics,
            self.measured + other.measured,
            self.beyond + other.beyond,
        )


@dataclass(frozen=True, eq=False)
class Window:
    """Rows that came together, as a file, and go together.

    Attributes
    ----------
    rows : int
        Of the tables.
    stages : mapping of stage to StageSums
    """

    rows: int
    stages: Mapping[str, StageSums]

    def __add__(self, other: Window) -> Window:
        """Return the sums of both sets of rows."""
        sums = {stage: part + other.stages[stage] for stage, part in self.stages.items()}
        return Window(self.rows + other.rows, sums)


def total_sums(windows: Iterable[Window], stage: str) -> StageSums:
    """Add a stage up over windows, in their order."""
    return reduce(StageSums.__add__, (window.stages[stage] for window in windows))
