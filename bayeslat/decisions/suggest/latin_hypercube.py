"""Candidates next to the points of a Latin hypercube in the knobs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bayeslat.decisions.suggest.problem import DesignProblem

__all__ = ["choose"]


def choose(problem: DesignProblem, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Choose the nearest free candidate to each point (McKay and others 1979); see `Method`.

    Knobs are measured in ranks, so that each third of a knob's candidates gets a third of the
    points, whatever its unit.
    """
    pool = problem.pool
    places = np.stack([_middle_ranks(knob) for knob in problem.knobs[pool].T], axis=1)
    knobs = places.shape[1]
    strata = rng.permuted(np.tile(np.arange(count), (knobs, 1)), axis=1).T
    targets = (strata + rng.random((count, knobs))) / count
    free = np.ones(len(pool), dtype=bool)
    chosen = []
    for target in targets:
        distance = np.sum((places - target) ** 2, axis=1)
        nearest = int(np.argmin(np.where(free, distance, np.inf)))
        free[nearest] = False
        chosen.append(nearest)
    return pool[np.array(chosen, dtype=np.int64)]


def _middle_ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ranks between 0 and 1; equal values share the middle of theirs. Shapes (candidate,)."""
    _, which, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks: NDArray[np.float64] = (np.cumsum(counts) - counts / 2)[which] / len(values)
    return ranks
