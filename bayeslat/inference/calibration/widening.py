"""Beyond the training range: physics goes on, the smooth correction stays, intervals widen."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bayeslat.features.design import Linearisation, StageInputs
from bayeslat.features.residual import ResidualBasis
from bayeslat.inference.calibration.population import Population
from bayeslat.inference.posteriors.posterior import StagePosterior
from bayeslat.inference.posteriors.walk import Trail
from bayeslat.inference.rows.strata import stratified_normal

__all__ = ["correction_rms", "step_variance", "walk_steps", "widening", "with_trail"]

# How the correction may go on: with twice its size within the range, and 5 %. Chosen on fits of a
# part of each knob's range (benchmarks/bench_extrapolation).
_GROWTH = 2.0
_LEAST_SD = 0.05
_MOST_SD = 1.0  # a correction that large is not doubled
_NO_RESIDUAL_SD = 0.1  # where no correction was fitted, so that its size is not known
_BLIND_SD = 0.2  # a correction says nothing about a knob that it never saw move, or has not


def correction_rms(
    part: StagePosterior, columns: NDArray[np.float64], effects: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Size of the smooth correction within the training range, in log latency.

    Parameters
    ----------
    part : StagePosterior
    columns : ndarray, shape (config, column)
        The residual columns over the reference configurations.
    effects : ndarray, shape (draw, feature)

    Returns
    -------
    ndarray, shape (draw,)
        Root mean square over the configurations; a guess where no correction was fitted.
    """
    if not part.basis.features:
        return np.full(len(effects), _NO_RESIDUAL_SD / _GROWTH)
    rms: NDArray[np.float64] = np.sqrt(np.mean((columns @ effects[:, part.terms :].T) ** 2, axis=0))
    return rms


def widening(
    growth: NDArray[np.float64],
    basis: ResidualBasis,
    rms: NDArray[np.float64],
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """Draw how far log latency departs from the held correction beyond the training range.

    All configs share the walk, so that they compare smoothly.

    Parameters
    ----------
    growth : ndarray, shape (config, direction)
        How far departures have grown beyond the range: `walked`.
    basis : ResidualBasis
        Directions that its features do not tell of have an sd of their own.
    rms : ndarray, shape (draw,)
        Size of the correction within the range, in log latency.
    rng : Generator

    Returns
    -------
    ndarray, shape (config, draw)
    """
    departure: NDArray[np.float64] = growth @ walk_steps(basis, rms, rng).T
    return departure


def walk_steps(
    basis: ResidualBasis, rms: NDArray[np.float64], rng: np.random.Generator
) -> NDArray[np.float64]:
    """Draw the departures of `widening` at distance 0.62 in each direction, where d + d^2 is 1.

    Parameters
    ----------
    basis, rms, rng
        As `widening` takes them.

    Returns
    -------
    ndarray, shape (draw, direction)
    """
    sd = _step_sd(basis, rms)
    steps: NDArray[np.float64] = sd * stratified_normal(sd.shape, rng)
    return steps


def step_variance(basis: ResidualBasis, rms: NDArray[np.float64]) -> NDArray[np.float64]:
    """Variance of what `walk_steps` draws. Shape (direction,).

    Parameters
    ----------
    basis, rms
        As `widening` takes them.
    """
    variance: NDArray[np.float64] = np.mean(_step_sd(basis, rms) ** 2, axis=0)
    return variance


def with_trail(
    population: Population,
    trail: Trail,
    part: StagePosterior,
    point: Linearisation,
    reference: StageInputs,
    rng: np.random.Generator,
) -> Population:
    """Let a population's effects have the columns of a trail, as wide as `widening` draws them.

    Parameters
    ----------
    population : Population
    trail : Trail
    part : StagePosterior
    point : Linearisation
    reference : StageInputs
        Of the GPU, over the knob grid.
    rng : Generator

    Returns
    -------
    Population
    """
    columns = point.design(reference, part.basis)[1][:, part.terms :]
    rms = correction_rms(part, columns, population.draw(rng)[0])
    sd = _step_sd(part.basis, rms)[:, trail.direction]
    return population.with_beyond(sd * stratified_normal(sd.shape, rng))


def _step_sd(basis: ResidualBasis, rms: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sd of the departure at distance 0.62, where d + d^2 is 1.

    Parameters
    ----------
    basis, rms
        As `widening` takes them.

    Returns
    -------
    ndarray, shape (draw, direction)
    """
    usual = np.minimum(np.hypot(_GROWTH * rms, _LEAST_SD), _MOST_SD)[:, None]
    sd = np.where(basis.spans, usual, _BLIND_SD)
    return np.where(basis.tells, sd, np.minimum(sd, _BLIND_SD))
