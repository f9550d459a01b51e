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

    A measurement at z takes (z_r' C z)^2 / (z' C z + s^2) off the variance at point r. Averaged
    with weights w_r share_r^2, the numerator is z' C M C z with M = sum_r w_r share_r^2 z_r z_r':
    no candidate meets each point, and from one measurement to the next it changes by products of a
    matrix and a vector.

    Attributes
    ----------
    belief : StageBelief
    moment : ndarray, shape (feature, feature)
        M.
    reach : ndarray, shape (candidate,)
        z' C M C z.
    """

    belief: StageBelief
    moment: NDArray[np.float64]
    reach: NDArray[np.float64]

    def worth(self) -> NDArray[np.float64]:
        """Reduction by each candidate. Shape (candidate,)."""
        return self.reach / self.belief.scatter

    def after(self, candidate: int) -> _StageReduction:
        """Return the reductions after one measurement.

        With g = C z, d = z' g + s^2 and C' = C - g g' / d, a candidate's x' C' M C' x is
        x' C M C x - 2 (x' C M g) (x' g) / d + (g' M g) (x' g)^2 / d^2.
        """
        belief = self.belief
        design, scatter = belief.stage.design, belief.scatter[candidate]
        pull = belief.covariance @ design[candidate]
        moment_pull = self.moment @ pull
        moved = design @ pull / scatter
        reach = (
            self.reach
            - 2.0 * moved * (design @ (belief.covariance @ moment_pull))
            + float(pull @ moment_pull) * moved**2
        )
        return _StageReduction(belief.after(candidate), self.moment, np.maximum(reach, 0.0))


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
    pulled = stage.design @ stage.covariance
    reach = np.sum(pulled @ moment * pulled, axis=1)
    return _StageReduction(prior_belief(stage), moment, reach)
