"""One measurement after the other: each the best, given those before."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from bayeslat.decisions.suggest.problem import DesignProblem

__all__ = ["Criterion", "choose_greedily"]


class Criterion(Protocol):
    """What a further measurement is worth, after some."""

    def worth(self) -> NDArray[np.float64]:
        """What each candidate would bring. Shape (candidate,)."""
        ...  # pragma: no cover

    def after(self, candidate: int) -> Criterion:
        """Return the criterion once a candidate is measured."""
        ...  # pragma: no cover


def choose_greedily(problem: DesignProblem, criterion: Criterion, count: int) -> NDArray[np.int64]:
    """Take the candidate that is worth most for its cost, and go on with what is known then.

    Parameters
    ----------
    problem : DesignProblem
    criterion : Criterion
        Before the first measurement.
    count : int

    Returns
    -------
    ndarray of int, shape (count,)
        Of equals, the first.
    """
    left = problem.eligible.copy()
    chosen: list[int] = []
    while len(chosen) < count:
        worth = np.where(left, problem.per_cost(criterion.worth()), -np.inf)
        best = int(np.argmax(worth))
        chosen.append(best)
        left[best] = False
        if len(chosen) < count:
            criterion = criterion.after(best)
    return np.array(chosen, dtype=np.int64)
