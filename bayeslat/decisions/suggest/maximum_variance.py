"""The candidate whose total is least sure, one after the other.

With independent noise, as the literature has it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bayeslat.decisions.suggest.belief import StageBelief, prior_belief
from bayeslat.decisions.suggest.greedy import choose_greedily
from bayeslat.decisions.suggest.problem import DesignProblem

__all__ = ["choose"]


@dataclass(frozen=True)
class _Variance:
    """Variance of the log total, to first order in the stages."""

    stages: tuple[StageBelief, ...]

    def worth(self) -> NDArray[np.float64]:
        parts = [belief.stage.share**2 * belief.variance for belief in self.stages]
        worth: NDArray[np.float64] = np.sum(parts, axis=0)
        return worth

    def after(self, candidate: int) -> _Variance:
        return _Variance(tuple(belief.after(candidate) for belief in self.stages))


def choose(problem: DesignProblem, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Choose the largest predictive variance, greedily (MacKay 1992); see `Method`."""
    del rng
    before = _Variance(tuple(prior_belief(stage) for stage in problem.stages))
    return choose_greedily(problem, before, count)
