"""The default: what lowers the error of the total most, averaged over the candidates.

The integrated mean squared error of Sacks, Schiller and Welch (1989, Technometrics 31), for a total
of several regressions: to first order, the variance of its log is the sum over stages of share^2
times the variance of the stage's log latency. The error is that of what calibration will estimate,
which takes measurements as independent: see `estimate`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bayeslat.decisions.suggest.estimate import StageEstimate, first_estimate
from bayeslat.decisions.suggest.greedy import choose_greedily
from bayeslat.decisions.suggest.neighbours import shared_covariance
from bayeslat.decisions.suggest.problem import DesignProblem, StageDesign

__all__ = ["choose", "integrated_reduction"]


@dataclass(frozen=True)
class _StageReduction:
    """How far one stage's measurement lowers the integrated squared error of the log total.

    With weights v_r = w_r share_r^2, the error is the sum of v_r (z_r' e + m_r)^2 over points, and
    a measurement d = z' e + m + noise makes it that of e - g d. So it takes off
    2 g' (M cov(e, d) + cov(u, d)) - g' M g var(d), with M the sum of v_r z_r z_r', and u that of
    v_r z_r m_r: no candidate meets each point.

    Attributes
    ----------
    estimate : StageEstimate
    points : ndarray of int, shape (point,)
    weighted : ndarray, shape (point, feature)
        v_r z_r.
    moment : ndarray, shape (feature, feature)
        M.
    near : ndarray, shape (candidate, feature)
        Covariance of m at each candidate with u.
    """

    estimate: StageEstimate
    points: NDArray[np.int64]
    weighted: NDArray[np.float64]
    moment: NDArray[np.float64]
    near: NDArray[np.float64]

    def worth(self) -> NDArray[np.float64]:
        """Reduction by each candidate. Shape (candidate,)."""
        estimate, rows = self.estimate, self.estimate.stage.candidates
        steps = estimate.steps
        moved = steps @ self.moment
        with_error = rows.design @ estimate.error + estimate.misled
        crossed = self.weighted.T @ estimate.misled[self.points]
        with_misfit = rows.design @ crossed.T + self.near
        scatter = np.sum((with_error + estimate.misled) * rows.design, axis=1) + rows.blur_sd**2
        taken = 2.0 * np.sum(moved * with_error + steps * with_misfit, axis=1)
        worth: NDArray[np.float64] = taken - np.sum(moved * steps, axis=1) * scatter
        return worth

    def after(self, candidate: int) -> _StageReduction:
        """Return the reductions after one measurement."""
        return replace(self, estimate=self.estimate.after(candidate))


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
    """Choose greedily by the reduction of the integrated squared error; see `Method`."""
    del rng
    return choose_greedily(problem, _before(problem), count)


def integrated_reduction(problem: DesignProblem) -> NDArray[np.float64]:
    """Reduction of the integrated squared error by each candidate, measured first.

    Parameters
    ----------
    problem : DesignProblem

    Returns
    -------
    ndarray, shape (candidate,)
        Of its weighted mean over the points, in log total.
    """
    return _before(problem).worth()


def _before(problem: DesignProblem) -> _Reduction:
    return _Reduction(tuple(_stage_before(problem, stage) for stage in problem.stages))


def _stage_before(problem: DesignProblem, stage: StageDesign) -> _StageReduction:
    points, rows = problem.points, stage.candidates
    weight = problem.weights * stage.share[points] ** 2
    weighted = rows.design[points] * weight[:, None]
    near = shared_covariance(rows, rows.take(points), stage.noise_shared)
    return _StageReduction(
        estimate=first_estimate(stage),
        points=points,
        weighted=weighted,
        moment=weighted.T @ rows.design[points],
        near=near @ weighted,
    )
