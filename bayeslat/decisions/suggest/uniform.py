"""Candidates at random, each as likely."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bayeslat.decisions.suggest.greedy import Fixed, choose_greedily
from bayeslat.decisions.suggest.problem import DesignProblem

__all__ = ["choose"]


def choose(problem: DesignProblem, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Choose at random, without repetition; see `Method`."""
    lots = rng.random(problem.size)
    return choose_greedily(problem, Fixed(lots), count, for_cost=False)
