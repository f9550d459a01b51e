"""A population's effects and noise given rows: closed form per draw, with weighted draws of scales.

Given the offset factors and the noise, effects and rows are jointly normal. So the factors and the
noise (three numbers) are proposed round their mode, weighted by the marginal likelihood of the
rows, and resampled; the effects are then drawn exactly.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import chdtri, gammaln

from bayeslat.features.thinning import evenly
from bayeslat.inference.calibration.marginal import Marginal
from bayeslat.inference.rows.strata import stratified_normal, stratified_uniform

__all__ = ["Conditioned", "condition", "find_mode", "mean_given"]

_PROPOSAL_DOF = 8.0
_INFLATION = 1.2  # of the proposal's sd over the mode's
_LONGEST_STEP = 2.0  # from the typical draw's mode to a draw's own: beyond, Newton is a guess
_STEP = 0.05  # of the differences that give curvature, in logs


@dataclass(frozen=True)
class Conditioned:
    """Draws of a group's effects and noise.

    Attributes
    ----------
    effects : ndarray, shape (draw, feature)
    noise_sd : ndarray, shape (draw,)
    effective_draws : float
        Kish's number: of equally weighted draws that are worth as much as the weighted ones.
    """

    effects: NDArray[np.float64]
    noise_sd: NDArray[np.float64]
    effective_draws: float


def condition(
    marginal: Marginal,
    rng: np.random.Generator,
    start: NDArray[np.float64] | None = None,
    proposals: int | None = None,
) -> Conditioned:
    """Draw a group's effects and noise, given its rows.

    Importance sampling of the scales with a Student-t proposal round the mode (Geweke 1989), each
    draw of the population's spread at most once; then effects given scales and rows by Matheron's
    rule (Journel and Huijbregts 1978, section VII.C): a draw from the population, corrected by what
    would have been measured of it. The centre counts as normal with the moments of its draws.

    Parameters
    ----------
    marginal : Marginal
        Of the rows.
    rng : Generator
    start : ndarray, shape (score,), optional
        The mode of nearly the same rows, as `find_mode` found it; found anew by default.
    proposals : int, optional
        Scales to weigh; as many as the population has draws by default.

    Returns
    -------
    Conditioned
        With as many draws as the population.
    """
    population = marginal.population
    draws = len(population.centre)
    chosen = evenly(draws, proposals or draws)
    scores, log_density = _propose(marginal, chosen, rng, start)
    variance = marginal.variance(scores, population.spread[chosen])
    log_sd = marginal.log_sd(scores, population.log_noise[chosen])
    covariance = marginal.row_covariance(variance, log_sd)
    log_weight = marginal.log_density(covariance, log_sd)
    log_weight += marginal.log_prior(scores) - log_density
    weight = np.exp(log_weight - log_weight.max())
    weight /= weight.sum()
    kept = _resample(weight, draws, rng)
    effects = _draw_effects(marginal, variance[kept], log_sd[kept], covariance[kept], rng)
    noise_sd = np.exp(log_sd[kept] - marginal.log_inflation)
    return Conditioned(effects, noise_sd, float(1.0 / np.sum(weight**2)))


def find_mode(marginal: Marginal) -> NDArray[np.float64]:
    """Find the likeliest scales: scores of the log factors, then of the noise. Shape (score,)."""
    return _mode(marginal)[0]


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
    spread, log_noise = population.typical
    variance = marginal.variance(scores[None], spread)
    log_sd = marginal.log_sd(scores[None], log_noise)
    prior = population.covariance + np.diag(variance[0])
    gain = prior @ marginal.rows.reduced.design.T
    solved = np.linalg.solve(
        marginal.row_covariance(variance, log_sd)[0], np.column_stack([marginal.gap, gain.T])
    )
    effects = population.mean + gain @ solved[:, 0]
    return effects, prior - gain @ solved[:, 1:], float(np.exp(log_sd[0])) / marginal.inflation


def _mode(
    marginal: Marginal, start: NDArray[np.float64] | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mode of the scores at typical spread and noise, and the curvature there.

    Returns
    -------
    mode : ndarray, shape (score,)
    curvature : ndarray, shape (score, score)
        Minus the second derivatives of the log density.
    """
    spread, log_noise = marginal.population.typical
    size = len(marginal.population.factors) + 1
    shifts = _STEP * np.concatenate([np.zeros((1, size)), np.eye(size), -np.eye(size)])

    def density(scores: NDArray[np.float64]) -> NDArray[np.float64]:
        variance = marginal.variance(scores, spread)
        log_sd = marginal.log_sd(scores, log_noise)
        return marginal.log_likelihood(variance, log_sd) + marginal.log_prior(scores)

    def objective(point: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        values = density(point + shifts)
        slope = (values[1 : size + 1] - values[size + 1 :]) / (2.0 * _STEP)
        return -float(values[0]), -slope

    mode = np.zeros(size) if start is None else start
    if start is None:
        bounds = [(-3.0, 4.0)] * (size - 1) + [(-4.0, 6.0)]
        options = {"maxiter": 20, "ftol": 1e-4, "gtol": 1e-2}
        mode = minimize(
            objective, mode, jac=True, method="L-BFGS-B", bounds=bounds, options=options
        ).x
    slopes = np.array([objective(mode + step)[1] for step in 4 * _STEP * np.eye(size)])
    back = np.array([objective(mode - step)[1] for step in 4 * _STEP * np.eye(size)])
    curvature = (slopes - back) / (8.0 * _STEP)
    return mode, 0.5 * (curvature + curvature.T)


def _propose(
    marginal: Marginal,
    chosen: NDArray[np.int64],
    rng: np.random.Generator,
    start: NDArray[np.float64] | None,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Draw scores round their mode.

    Parameters
    ----------
    marginal : Marginal
    chosen : ndarray of int, shape (proposal,)
        Draws of the population.
    rng : Generator
    start : ndarray, shape (score,), or None

    Returns
    -------
    scores : ndarray, shape (proposal, score)
    log_density : ndarray, shape (proposal,)
    """
    mode, curvature = _mode(marginal, start)
    values, vectors = np.linalg.eigh(curvature)
    # Where the rows say little, the prior bounds the sd: half as wide as its own.
    values = np.maximum(values, 0.5)
    sd = _INFLATION / np.sqrt(values)
    # The rows tell factor x spread and the noise itself. For a draw with a larger spread than is
    # typical, the mode of the factor is smaller: one Newton step from the typical draw's.
    told = curvature - np.diag(marginal.prior_curvature(mode))
    step = marginal.excess()[chosen] @ (told @ (vectors / values) @ vectors.T)
    moved = np.clip(step, -_LONGEST_STEP, _LONGEST_STEP)
    size, draws = len(mode), len(chosen)
    tail = np.sqrt(_PROPOSAL_DOF / chdtri(_PROPOSAL_DOF, stratified_uniform((draws,), rng)))
    standard = stratified_normal((draws, size), rng) * tail[:, None]
    scores = mode - moved + (standard * sd) @ vectors.T
    half = (_PROPOSAL_DOF + size) / 2
    constant = gammaln(half) - gammaln(_PROPOSAL_DOF / 2) - np.log(sd).sum()
    constant -= 0.5 * size * np.log(_PROPOSAL_DOF * np.pi)
    square = np.sum(standard**2, axis=1)
    return scores, constant - half * np.log1p(square / _PROPOSAL_DOF)


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
    scatter: NDArray[np.float64],
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """Draw effects given scales and rows, whose covariance is `scatter`. Shape (draw, feature)."""
    reduced, shape = marginal.rows.reduced, variance.shape
    population = marginal.population
    values, vectors = np.linalg.eigh(population.covariance)
    root = vectors * np.sqrt(np.maximum(values, 0.0))
    centre = population.mean + stratified_normal(shape, rng) @ root.T
    before = centre + np.sqrt(variance) * stratified_normal(shape, rng)
    noise = np.exp(log_sd)[:, None] * rng.standard_normal((len(log_sd), len(reduced.response)))
    gap = reduced.response - before @ reduced.design.T - noise
    pull = np.linalg.solve(scatter, gap[:, :, None])[:, :, 0] @ reduced.design
    effects: NDArray[np.float64] = before + pull @ population.covariance + variance * pull
    return effects
