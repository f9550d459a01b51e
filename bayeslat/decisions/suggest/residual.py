"""Where physics is corrected most: the sampler of the stage-estimator document."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bayeslat.decisions.suggest.greedy import Fixed, choose_greedily
from bayeslat.decisions.suggest.problem import DesignProblem

__all__ = ["choose"]


def choose(problem: DesignProblem, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Choose the largest expected corrections of the log total, in size; see `Method`."""
    del rng
    correction = np.sum([stage.share * stage.correction for stage in problem.stages], axis=0)
    return choose_greedily(problem, Fixed(np.abs(correction)), count)
