"""A population's effects and noise given rows: closed form per draw, with weighted draws of scales.

Given the scales (the offset factors, the noise, and the spread of the population), effects and rows
are jointly normal. So the scales are proposed round their mode, weighted by the marginal likelihood
of the rows, and resampled; the effects are then drawn exactly.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bayeslat.inference.calibration.heavy_tails import HeavyTails, sweep
from bayeslat.inference.calibration.marginal import Marginal
from bayeslat.inference.calibration.scale_draws import draw_scales
from bayeslat.inference.rows.strata import stratified_normal

__all__ = ["Conditioned", "condition", "mean_given"]


@dataclass(frozen=True)
class Conditioned:
    """Draws of a group's effects and noise.

    Attributes
    ----------
    effects : ndarray, shape (draw, feature)
    noise_sd : ndarray, shape (draw,)
    effective_draws : float
        Of the scales: see `ScaleDraws.effective`.
    """

    effects: NDArray[np.float64]
    noise_sd: NDArray[np.float64]
    effective_draws: float


def condition(
    marginal: Marginal,
    rng: np.random.Generator,
    start: NDArray[np.float64] | None = None,
    proposals: int | None = None,
    heavy: HeavyTails | None = None,
) -> Conditioned:
    """Draw a group's effects and noise, given its rows.

    Scales by `draw_scales`; then effects given scales and rows by Matheron's rule (Journel and
    Huijbregts 1978, section VII.C): a draw from the population, corrected by what would have been
    measured of it. Centre, log spread and log noise of the population count as normal with the
    moments of their draws.

    Parameters
    ----------
    marginal : Marginal
        Of the rows.
    rng : Generator
    start : ndarray, shape (score,), optional
        As `draw_scales` takes it.
    proposals : int, optional
        Scales to weigh in a round; as many as the population has draws by default.
    heavy : HeavyTails, optional
        What the rows are pseudo-values of, if their noise is no normal one.

    Returns
    -------
    Conditioned
        With as many draws as the population.
    """
    draws = len(marginal.population.centre)
    scales = draw_scales(marginal, proposals or draws, rng, start)
    scores = scales.scores[_resample(scales.weight, draws, rng)]
    variance, log_sd = marginal.variance(scores), marginal.log_sd(scores)
    effects = _draw_effects(marginal, variance, log_sd, rng)
    noise_sd = np.exp(log_sd - marginal.log_inflation)
    if heavy is not None:
        effects, noise_sd = sweep(heavy, marginal, scores, effects, rng)
    return Conditioned(effects, noise_sd, scales.effective)


def mean_given(
    marginal: Marginal, scores: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Return the mean and covariance of the effects given rows and scales.

    Parameters
    ----------
    marginal : Marginal
        Of the rows.
    scores : ndarray, shape (score,)
        Of the scales, as `find_mode` finds them.

    Returns
    -------
    effects : ndarray, shape (feature,)
    covariance : ndarray, shape (feature, feature)
    noise_sd : float
    """
    population = marginal.population
    variance, log_sd = marginal.variance(scores[None]), marginal.log_sd(scores[None])
    prior = population.covariance + np.diag(variance[0])
    gain = prior @ marginal.rows.reduced.design.T
    solved = np.linalg.solve(
        marginal.row_covariance(variance, log_sd)[0], np.column_stack([marginal.gap, gain.T])
    )
    effects = population.mean + gain @ solved[:, 0]
    return effects, prior - gain @ solved[:, 1:], float(np.exp(log_sd[0])) / marginal.inflation


def _resample(
    weight: NDArray[np.float64], count: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Take proposals in proportion to their weight, systematically (Kitagawa 1996).

    Shapes (proposal,) to (draw,).
    """
    places = (np.arange(count) + rng.random()) / count
    found = np.searchsorted(np.cumsum(weight), places).clip(0, len(weight) - 1)
    return rng.permutation(found)


def _draw_effects(
    marginal: Marginal,
    variance: NDArray[np.float64],
    log_sd: NDArray[np.float64],
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """Draw effects given scales and rows. Shape (draw, feature)."""
    reduced, shape = marginal.rows.reduced, variance.shape
    population = marginal.population
    values, vectors = np.linalg.eigh(population.covariance)
    root = vectors * np.sqrt(np.maximum(values, 0.0))
    centre = population.mean + stratified_normal(shape, rng) @ root.T
    before = centre + np.sqrt(variance) * stratified_normal(shape, rng)
    noise = np.exp(log_sd)[:, None] * rng.standard_normal((len(log_sd), len(reduced.response)))
    gap = reduced.response - before @ reduced.design.T - noise
    scatter = marginal.row_covariance(variance, log_sd)
    pull = np.linalg.solve(scatter, gap[:, :, None])[:, :, 0] @ reduced.design
    effects: NDArray[np.float64] = before + pull @ population.covariance + variance * pull
    return effects
