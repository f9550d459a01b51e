"""The Laplace engine: importance draws round the mode of the scales, in seconds."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from bayeslat.inference.draws import StageDraws, draw_all_effects
from bayeslat.inference.mode import find_mode
from bayeslat.model.collapsed import log_posterior
from bayeslat.model.collapsed_data import collapse
from bayeslat.model.problem import StageProblem

__all__ = ["sample_laplace"]

_DOF = 6.0  # heavier tails than the target's, as importance sampling needs


def sample_laplace(
    problem: StageProblem, seed: int, *, proposals: int = 800, draws: int = 400
) -> StageDraws:
    """Approximate one stage: a multivariate Student-t at the mode, corrected by importance weights.

    The weights are Pareto-smoothed (Vehtari, Simpson, Gelman, Yao and Gabry 2024), the draws
    resampled from them; the Pareto shape is returned as a statistic, since above 0.7 the
    approximation cannot be trusted.

    Parameters
    ----------
    problem : StageProblem
    seed : int
    proposals, draws : int
        Points weighted, and points kept.

    Returns
    -------
    StageDraws
        A single chain, with `pareto_k` the same for every draw.
    """
    from arviz_stats.base import array_stats

    rng = np.random.default_rng([seed, 0])
    data = collapse(problem)
    mode = find_mode(data)
    size = len(mode.centre)
    standard = rng.standard_normal((proposals, size))
    standard /= np.sqrt(rng.chisquare(_DOF, (proposals, 1)) / _DOF)
    target = np.array([log_posterior(z, mode.centre, mode.root, data)[0] for z in standard])
    log_weights = target - _student_t(standard, _DOF)
    log_weights = np.where(np.isfinite(target), log_weights, -np.inf)
    smoothed, shape = array_stats.psislw(-log_weights)  # it takes log likelihoods, and negates
    weights = np.exp(smoothed - smoothed.max())
    kept = standard[_systematic(weights / weights.sum(), draws, rng)]
    scores = mode.centre + kept @ mode.root.T
    scales = np.array([problem.layout.from_scores(each) for each in scores])[None]
    effects = draw_all_effects(problem, scales, seed)
    return StageDraws(scales, effects, {"pareto_k": np.full((1, draws), float(shape))})


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
