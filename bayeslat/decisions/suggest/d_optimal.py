"""What tells most about the effects of all stages alike: Bayesian D-optimality.

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
class _Information:
    """Twice the information of a measurement about the effects, in nats."""

    stages: tuple[StageBelief, ...]

    def worth(self) -> NDArray[np.float64]:
        """Sum log |C| / |C'| = log(1 + z' C z / s^2) over stages. Shape (candidate,)."""
        parts = [
            np.log1p(belief.variance / belief.stage.candidates.blur_sd**2) for belief in self.stages
        ]
        worth: NDArray[np.float64] = np.sum(parts, axis=0)
        return worth

    def after(self, candidate: int) -> _Information:
        return _Information(tuple(belief.after(candidate) for belief in self.stages))


def choose(problem: DesignProblem, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Choose greedily by the gain in information (Chaloner and Verdinelli 1995); see `Method`."""
    del rng
    before = _Information(tuple(prior_belief(stage) for stage in problem.stages))
    return choose_greedily(problem, before, count)
