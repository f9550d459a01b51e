"""One measurement after the other: each the best, given those before. Every method does so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from bayeslat.decisions.suggest.problem import DesignProblem

__all__ = ["Criterion", "Fixed", "choose_greedily"]


class Criterion(Protocol):
    """What a further measurement is worth, after some."""

    def worth(self) -> NDArray[np.float64]:
        """What each candidate would bring. Shape (candidate,)."""
        ...  # pragma: no cover

    def after(self, candidate: int) -> Criterion:
        """Return the criterion once a candidate is measured."""
        ...  # pragma: no cover


@dataclass(frozen=True)
class Fixed:
    """A worth that no measurement changes.

    Attributes
    ----------
    values : ndarray, shape (candidate,)
    """

    values: NDArray[np.float64]

    def worth(self) -> NDArray[np.float64]:
        """Return `values`."""
        return self.values

    def after(self, candidate: int) -> Fixed:
        """Return itself."""
        del candidate
        return self


def choose_greedily(
    problem: DesignProblem, criterion: Criterion, count: int, *, for_cost: bool = True
) -> NDArray[np.int64]:
    """Take the candidate that is worth most, and go on with what is known then.

    Parameters
    ----------
    problem : DesignProblem
    criterion : Criterion
        Before the first measurement.
    count : int
    for_cost : bool
        Divide what a candidate is worth by what it costs.

    Returns
    -------
    ndarray of int, shape (count,)
        From the strata in turn, if there are any. Of equals, the first.
    """
    left, strata = problem.eligible.copy(), problem.strata
    chosen: list[int] = []
    while len(chosen) < count:
        free = left if strata is None else strata.open(left)
        worth = problem.per_cost(criterion.worth()) if for_cost else criterion.worth()
        best = int(np.argmax(np.where(free, worth, -np.inf)))
        chosen.append(best)
        left[best] = False
        if len(chosen) < count:
            criterion = criterion.after(best)
            strata = None if strata is None else strata.after(best)
    return np.array(chosen, dtype=np.int64)
