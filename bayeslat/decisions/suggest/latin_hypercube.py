"""Candidates next to the points of a Latin hypercube in the knobs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bayeslat.decisions.suggest.greedy import choose_greedily
from bayeslat.decisions.suggest.problem import DesignProblem

__all__ = ["choose"]


@dataclass(frozen=True)
class _Nearness:
    """How near candidates are to the next point.

    Attributes
    ----------
    places : ndarray, shape (candidate, knob)
    targets : ndarray, shape (point, knob)
        Those to come.
    """

    places: NDArray[np.float64]
    targets: NDArray[np.float64]

    def worth(self) -> NDArray[np.float64]:
        nearness: NDArray[np.float64] = -np.sum((self.places - self.targets[0]) ** 2, axis=1)
        return nearness

    def after(self, candidate: int) -> _Nearness:
        del candidate
        return _Nearness(self.places, self.targets[1:])


def choose(problem: DesignProblem, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Choose the nearest free candidate to each point (McKay and others 1979); see `Method`.

    Knobs are measured in ranks, so that each third of a knob's candidates gets a third of the
    points, whatever its unit.
    """
    ranks = [_middle_ranks(knob, knob[problem.pool]) for knob in problem.knobs.T]
    places = np.stack(ranks, axis=1)
    knobs = places.shape[1]
    slices = rng.permuted(np.tile(np.arange(count), (knobs, 1)), axis=1).T
    targets = (slices + rng.random((count, knobs))) / count
    return choose_greedily(problem, _Nearness(places, targets), count, for_cost=False)


def _middle_ranks(values: NDArray[np.float64], among: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ranks between 0 and 1 among some values; equal ones share the middle of theirs."""
    ordered = np.sort(among)
    below = np.searchsorted(ordered, values, side="left")
    upto = np.searchsorted(ordered, values, side="right")
    ranks: NDArray[np.float64] = (below + upto) / (2.0 * len(ordered))
    return ranks
