"""The interface that every method of choosing measurements has."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from bayeslat.decisions.suggest.problem import DesignProblem

__all__ = ["Method"]


class Method(Protocol):
    """Chooses candidates, best first."""

    def __call__(
        self, problem: DesignProblem, count: int, rng: np.random.Generator
    ) -> NDArray[np.int64]:
        """Choose candidates.

        Parameters
        ----------
        problem : DesignProblem
        count : int
            At most as many as are eligible.
        rng : Generator
            For methods that leave something to chance.

        Returns
        -------
        ndarray of int, shape (count,)
            Positions of eligible candidates, each at most once.
        """
        ...  # pragma: no cover
