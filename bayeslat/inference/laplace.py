"""The Laplace engine: importance draws round the mode of the scales, in seconds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from bayeslat.inference.draws import StageDraws, draw_all_effects
from bayeslat.inference.mode import Mode, find_mode
from bayeslat.model.collapsed import log_posterior
from bayeslat.model.collapsed_data import CollapsedData, collapse
from bayeslat.model.problem import StageProblem

__all__ = ["sample_laplace"]

_DOF = 6.0  # heavier tails than the target's, as importance sampling needs
_WIDER = 1.1


def sample_laplace(
    problem: StageProblem, seed: int, *, proposals: int = 800, draws: int = 400
) -> StageDraws:
    """Approximate one stage: a multivariate Student-t, corrected by importance weights.

    A first round of proposals, round the mode, finds the mean and the covariance; the second is
    drawn round these (adaptive importance sampling: Oh and Berger 1992). The weights are
    Pareto-smoothed (Vehtari, Simpson, Gelman, Yao and Gabry 2024), the draws resampled from
    them; the Pareto shape is returned as a statistic, since above 0.7 the approximation cannot be
    trusted.

    Parameters
    ----------
    problem : StageProblem
    seed : int
    proposals, draws : int
        Points weighted in each round, and points kept.

    Returns
    -------
    StageDraws
        A single chain, with `pareto_k` the same for every draw.
    """
    rng = np.random.default_rng([seed, 0])
    data = collapse(problem)
    first = _propose(find_mode(data), data, proposals, rng)
    second = _propose(first.fitted(), data, proposals, rng)
    kept = second.scores[_systematic(second.weights, draws, rng)]
    scales = problem.layout.from_scores(kept)[None]
    effects = draw_all_effects(problem, scales, seed)
    return StageDraws(scales, effects, {"pareto_k": np.full((1, draws), second.pareto_k)})


@dataclass(frozen=True)
class _Proposals:
    """Weighted points: scores, shape (proposal, scale); weights, shape (proposal,), of sum 1."""

    scores: NDArray[np.float64]
    weights: NDArray[np.float64]
    pareto_k: float

    def fitted(self) -> Mode:
        """Mean and covariance of the points; the covariance a little widened, for the tails."""
        centre = self.weights @ self.scores
        away = self.scores - centre
        covariance = (away.T * self.weights) @ away
        values, vectors = np.linalg.eigh(_WIDER * covariance)
        return Mode(centre, np.ascontiguousarray(vectors * np.sqrt(np.maximum(values, 1e-8))))


def _propose(
    around: Mode, data: CollapsedData, proposals: int, rng: np.random.Generator
) -> _Proposals:
    """Draw points from a Student-t and weight them by the posterior."""
    from arviz_stats.base import array_stats

    standard = rng.standard_normal((proposals, len(around.centre)))
    standard /= np.sqrt(rng.chisquare(_DOF, (proposals, 1)) / _DOF)
    target = np.array([log_posterior(z, around.centre, around.root, data)[0] for z in standard])
    log_weights = target - _student_t(standard, _DOF)
    log_weights = np.where(np.isfinite(target), log_weights, -np.inf)
    smoothed, shape = array_stats.psislw(-log_weights)  # it takes log likelihoods, and negates
    weights = np.exp(smoothed - smoothed.max())
    scores = around.centre + standard @ around.root.T
    return _Proposals(scores, weights / weights.sum(), float(shape))


def _student_t(standard: NDArray[np.float64], dof: float) -> NDArray[np.float64]:
    """Log density of a standard multivariate Student-t, but for a constant. Shape (draw,)."""
    size = standard.shape[1]
    constant = float(gammaln((dof + size) / 2) - gammaln(dof / 2))
    kernel: NDArray[np.float64] = np.log1p(np.sum(standard**2, axis=1) / dof)
    density: NDArray[np.float64] = constant - 0.5 * (dof + size) * kernel
    return density


def _systematic(
    weights: NDArray[np.float64], draws: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Resample with the least added noise, in random order. Shape (draw,)."""
    places = (np.arange(draws) + rng.uniform()) / draws
    chosen = np.searchsorted(np.cumsum(weights), places).clip(max=len(weights) - 1)
    return rng.permutation(chosen)
