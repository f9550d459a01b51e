"""What is settled of a stage's noise before its scale: shape, tails, what repeats share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayeslat.features.design import StageInputs
from bayeslat.features.noise_shape import NoiseShape, noise_columns
from bayeslat.features.residual import ResidualBasis
from bayeslat.features.thinning import evenly
from bayeslat.inference.rows.nearness import Contrasts, estimate_own_share
from bayeslat.inference.rows.noise import fit_noise_shape
from bayeslat.inference.rows.pilot import Pilot, fit_pilot
from bayeslat.inference.rows.repeats import (
    number_configs,
    pooled_shared_variance,
    repeated_configs,
    row_weights,
    shared_variance,
)
from bayeslat.inference.rows.robust import choose_dof
from bayeslat.inference.rows.stage_rows import StageRows

__all__ = ["NoiseChoice", "choose_noise"]

_DOF = 4.0  # of the pilot fits, before the tails are chosen
_MOST_LEVERAGE = 0.9
_ENOUGH_REPEATED = 50  # configurations: the part that is their own is told within 0.1 or so
_MOST_GROUPS, _MOST_CONFIGS = 10, 300  # that tell what neighbours share
_APART = 100.0  # half widths of the range: two tasks have nothing in common


@dataclass(frozen=True)
class NoiseChoice:
    """A stage's noise, but for its scale.

    Attributes
    ----------
    shape : NoiseShape
    spread : tuple over group of ndarray, shape (row,)
        The shape at each row.
    weights : tuple over group of ndarray, shape (row,)
        How many rows a row counts for.
    dof : float
        Degrees of freedom of the Student-t noise; infinite when the rows look Gaussian.
    shared : float
        What part of its variance is the configuration's own, over all groups: its repeats share
        it. Of few repeats, rows whose terms, features and task are equal say more; of few of
        those, neighbours.
    shared_configs : float
        Repeated configurations that tell `shared`, with those that a guess counts for.
    """

    shape: NoiseShape
    spread: tuple[NDArray[np.float64], ...]
    weights: tuple[NDArray[np.float64], ...]
    dof: float
    shared: float
    shared_configs: float


def choose_noise(
    designs: Sequence[NDArray[np.float64]],
    responses: Sequence[NDArray[np.float64]],
    rows: Sequence[StageRows],
    basis: ResidualBasis,
    prior_sd: NDArray[np.float64],
) -> NoiseChoice:
    """Settle the noise from pilot fits of each group.

    Parameters
    ----------
    designs : sequence over group of ndarray, shape (row, feature)
    responses : sequence over group of ndarray, shape (row,)
    rows : sequence over group of StageRows
    basis : ResidualBasis
    prior_sd : ndarray, shape (feature,)
        Sd of each effect round zero in the pilot fits, in log latency.

    Returns
    -------
    NoiseChoice
    """
    pairs = list(zip(designs, responses, strict=True))
    once = [row_weights(part.config, 1.0) for part in rows]  # one row a configuration
    columns = [noise_columns(basis, part.inputs.raw) for part in rows]

    flat = [fit_pilot(z, y, w, prior_sd, _DOF) for (z, y), w in zip(pairs, once, strict=True)]
    shape = fit_noise_shape([_error(pilot) for pilot in flat], columns, once)
    spread = tuple(shape.spread(basis, part.inputs.raw) for part in rows)

    even = [(z / s[:, None], y / s) for (z, y), s in zip(pairs, spread, strict=True)]
    pilots = [fit_pilot(z, y, w, prior_sd, _DOF) for (z, y), w in zip(even, once, strict=True)]
    weights = tuple(
        row_weights(part.config, shared_variance(pilot, part.config))
        for pilot, part in zip(pilots, rows, strict=True)
    )
    dof = choose_dof([(z, y, w) for (z, y), w in zip(even, weights, strict=True)], prior_sd)
    seen = [_repeats(part) for part in rows]
    untold = estimate_own_share(
        _contrasts(even[group], seen[group], _places(basis, rows[group].inputs))
        for group in evenly(len(rows), _MOST_GROUPS)
    )
    shared, configs = pooled_shared_variance(pilots, seen, untold)
    return NoiseChoice(shape, spread, weights, dof, shared, configs)


def _repeats(rows: StageRows) -> NDArray[np.int64]:
    """Number a group's rows: those that say the same of the stage are repeats of each other.

    Repeats of configurations are, whatever the formulas lack. Where there are few, so are rows of
    which the stage sees the same.
    """
    if repeated_configs(rows.config) >= _ENOUGH_REPEATED:
        return rows.config
    inputs = rows.inputs
    seen = pd.DataFrame(np.concatenate([inputs.terms_ms, inputs.raw], axis=1))
    return number_configs(seen if inputs.task is None else seen.assign(task=inputs.task))


def _places(basis: ResidualBasis, inputs: StageInputs) -> NDArray[np.float64]:
    """Places in half widths of the training range, tasks far apart. Shape (row, coordinate)."""
    places = basis.places(inputs.raw)
    if inputs.task is None:
        return places
    tasks = np.unique(inputs.task, return_inverse=True)[1]
    return np.column_stack([places, _APART * tasks])


def _contrasts(
    regression: tuple[NDArray[np.float64], NDArray[np.float64]],
    labels: NDArray[np.int64],
    places: NDArray[np.float64],
) -> Contrasts:
    """Of one row of each of some configurations, taken at random: grids have no gaps then."""
    once = np.unique(labels, return_index=True)[1]
    kept = np.random.default_rng(0).permutation(once)[:_MOST_CONFIGS]
    design, response = regression
    return Contrasts.of(design[kept], response[kept], places[kept])


def _error(pilot: Pilot) -> NDArray[np.float64]:
    """Residuals as large as they would be at rows that were not fitted."""
    return pilot.residual / np.sqrt(1.0 - np.minimum(pilot.leverage, _MOST_LEVERAGE))
