"""The default: what lowers the uncertainty of the total most, averaged over the candidates.

The integrated variance of Sacks, Schiller and Welch (1989, Technometrics 31) and Cohn (1996, Neural
Networks 9), for a total of several regressions: to first order, the variance of its log is the sum
over stages of share^2 times the variance of the stage's log latency.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bayeslat.decisions.suggest.belief import StageBelief, prior_belief
from bayeslat.decisions.suggest.greedy import choose_greedily
from bayeslat.decisions.suggest.problem import DesignProblem, StageDesign

__all__ = ["choose", "integrated_reduction"]


@dataclass(frozen=True)
class _StageReduction:
    """How far one stage's measurement lowers the integrated variance of the log total.

    A measurement with covariance p to the effects and scatter s takes (z_r' p)^2 / s off the
    variance at point r. Averaged with weights w_r share_r^2, the numerator is p' M p with
    M = sum_r w_r share_r^2 z_r z_r': no candidate meets each point, and from one measurement to the
    next it changes by products of a matrix and a vector.

    Attributes
    ----------
    belief : StageBelief
    moment : ndarray, shape (feature, feature)
        M.
    reach : ndarray, shape (candidate,)
        p' M p.
    """

    belief: StageBelief
    moment: NDArray[np.float64]
    reach: NDArray[np.float64]

    def worth(self) -> NDArray[np.float64]:
        """Reduction by each candidate. Shape (candidate,)."""
        return self.reach / self.belief.scatter

    def after(self, candidate: int) -> _StageReduction:
        """Return the reductions after one measurement.

        With the gain g of the effects and t of a candidate, p' = p - t g, and its p' M p is
        p' M p - 2 t p' M g + t^2 g' M g.
        """
        gain, told = self.belief.step(candidate)
        moved = self.moment @ gain
        reach = self.reach - 2.0 * told * (self.belief.pull @ moved) + (gain @ moved) * told**2
        belief = self.belief.given(gain, told)
        return _StageReduction(belief, self.moment, np.maximum(reach, 0.0))


@dataclass(frozen=True)
class _Reduction:
    """The sum over stages."""

    stages: tuple[_StageReduction, ...]

    def worth(self) -> NDArray[np.float64]:
        worth: NDArray[np.float64] = np.sum([stage.worth() for stage in self.stages], axis=0)
        return worth

    def after(self, candidate: int) -> _Reduction:
        return _Reduction(tuple(stage.after(candidate) for stage in self.stages))


def choose(problem: DesignProblem, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Choose greedily by the reduction of the integrated variance; see `Method`."""
    del rng
    return choose_greedily(problem, _before(problem), count)


def integrated_reduction(problem: DesignProblem) -> NDArray[np.float64]:
    """Reduction of the integrated variance by each candidate, measured first.

    Parameters
    ----------
    problem : DesignProblem

    Returns
    -------
    ndarray, shape (candidate,)
        Of the weighted mean over the points of the variance of the log total.
    """
    return _before(problem).worth()


def _before(problem: DesignProblem) -> _Reduction:
    return _Reduction(tuple(_stage_before(problem, stage) for stage in problem.stages))


def _stage_before(problem: DesignProblem, stage: StageDesign) -> _StageReduction:
    points = stage.design[problem.points]
    weight = problem.weights * stage.share[problem.points] ** 2
    moment = (points * weight[:, None]).T @ points
    belief = prior_belief(stage)
    reach = np.sum(belief.pull @ moment * belief.pull, axis=1)
    return _StageReduction(belief, moment, reach)
