"""From rows of a trace to a stage's regression: linearise, even out the noise, calm outliers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bayeslat.features.design import Linearisation, linearise
from bayeslat.features.residual import ResidualBasis
from bayeslat.features.thinning import evenly
from bayeslat.inference.rows.anchor import Anchor, find_anchor
from bayeslat.inference.rows.noise_choice import NoiseChoice, choose_noise
from bayeslat.inference.rows.pilot import Pilots, fit_pilot
from bayeslat.inference.rows.repeats import row_weights
from bayeslat.inference.rows.stage_rows import StageRows
from bayeslat.inference.rows.stage_table import StageTable

__all__ = [
    "StageRegression",
    "first_anchor",
    "linear_rows",
    "log_linear",
    "pilot_sd",
    "regress",
]

type _Array = NDArray[np.float64]

_ROWS_FOR_ANCHOR = 12_000  # of all GPUs: the first point of linearisation need not be exact
_FEWEST_FOR_ANCHOR, _MOST_FOR_ANCHOR = 100, 1000  # of each
_PILOT_SD = 0.3  # of effects in the pilot fits that only find outliers


@dataclass(frozen=True)
class StageRegression:
    """A stage's rows as a linear regression of log latency, and what it was linearised round.

    Designs and responses are over the noise shape, so that all rows have the noise of a typical
    configuration.

    Attributes
    ----------
    designs : tuple over group of ndarray, shape (row, feature)
        Shares of the physics terms, then residual columns orthogonal to them.
    responses : tuple over group of ndarray, shape (row,)
        Log latency less the physics, with outliers calmed.
    anchor : Anchor
    projection : ndarray, shape (gpu, term, column)
    noise : NoiseChoice
    pilots : Pilots
    """

    designs: tuple[NDArray[np.float64], ...]
    responses: tuple[NDArray[np.float64], ...]
    anchor: Anchor
    projection: NDArray[np.float64]
    noise: NoiseChoice
    pilots: Pilots


def regress(table: StageTable, anchor: Anchor, noise: NoiseChoice | None = None) -> StageRegression:
    """Turn a stage's rows into its regression round an anchor.

    Parameters
    ----------
    table : StageTable
    anchor : Anchor
    noise : NoiseChoice, optional
        Settled from the rows by default.

    Returns
    -------
    StageRegression
    """
    points, designs, responses = _linearised(table, anchor)
    prior_sd = pilot_sd(table)
    noise = noise or choose_noise(designs, responses, table.rows, table.basis, prior_sd)
    even = [
        (z / s[:, None], y / s, w)
        for z, y, s, w in zip(designs, responses, noise.spread, noise.weights, strict=True)
    ]
    pilots = [fit_pilot(*group, prior_sd, noise.dof) for group in even]
    return StageRegression(
        designs=tuple(design for design, _, _ in even),
        responses=tuple(pilot.pseudo_values(noise.dof) for pilot in pilots),
        anchor=anchor,
        projection=np.array([point.projection for point in points.values()]),
        noise=noise,
        pilots=Pilots(
            effect=np.array([pilot.effect for pilot in pilots]),
            sd=np.array([pilot.sd for pilot in pilots]),
            weight=np.array([w.mean() if len(w) else 1.0 for w in noise.weights]),
        ),
    )


def pilot_sd(table: StageTable) -> NDArray[np.float64]:
    """Sd of each effect round zero in the pilot fits, in log latency. Shape (feature,)."""
    features = table.features
    return np.where(np.isnan(features.shared_sd), _PILOT_SD * features.multiplier, _PILOT_SD)


def linear_rows(table: StageTable, anchor: Anchor) -> tuple[Sequence[_Array], Sequence[_Array]]:
    """Linearise a stage's rows round an anchor.

    Parameters
    ----------
    table : StageTable
    anchor : Anchor

    Returns
    -------
    designs : sequence over group of ndarray, shape (row, feature)
    responses : sequence over group of ndarray, shape (row,)
    """
    return _linearised(table, anchor)[1:]


def _linearised(
    table: StageTable, anchor: Anchor
) -> tuple[Mapping[str, Linearisation], Sequence[_Array], Sequence[_Array]]:
    """Where each GPU is linearised, and the designs and responses of the groups there."""
    departures = dict(zip(table.grids, anchor.departure, strict=True))
    points = {
        gpu: linearise(
            anchor.shared + departures[gpu],
            grid.inputs,
            table.basis,
            grid.columns,
            minor=table.minor,
        )
        for gpu, grid in table.grids.items()
    }
    pairs = [
        log_linear(points[part.gpu], departures[part.gpu], part, table.basis, columns)
        for part, columns in zip(table.rows, table.columns, strict=True)
    ]
    designs, responses = zip(*pairs, strict=True)
    return points, designs, responses


def first_anchor(table: StageTable, *, smooth: bool = False, most: float = np.inf) -> Anchor:
    """Fit the physics by GPU, the rows of its stacks together; a part of them is enough.

    Each configuration counts once: what physics misses there, all of its repeats miss.

    Parameters
    ----------
    table : StageTable
    smooth : bool
        Whether a smooth correction that all GPUs share stands beside the physics.
    most : float
        Rows of a GPU that are looked at, at most.

    Returns
    -------
    Anchor

    Raises
    ------
    ConvergenceError
        If the physics has no reachable mode.
    """
    each = min(max(_ROWS_FOR_ANCHOR // len(table.grids), _FEWEST_FOR_ANCHOR), _MOST_FOR_ANCHOR)
    terms, latency, weights, columns = [], [], [], []
    for gpu in table.grids:
        at = [number for number, part in enumerate(table.rows) if part.gpu == gpu]
        parts = [table.rows[number] for number in at]
        all_latency = np.concatenate([part.latency_ms for part in parts])
        kept = evenly(len(all_latency), int(min(most, each)))
        terms.append(np.concatenate([part.inputs.terms_ms for part in parts])[kept])
        latency.append(all_latency[kept])
        weights.append(np.concatenate([row_weights(part.config, 1.0) for part in parts])[kept])
        columns.append(np.concatenate([table.columns[number] for number in at])[kept])
    if not smooth:
        return find_anchor(terms, latency, weights, table.priors)
    smooth_sd = _PILOT_SD * table.basis.multiplier
    return find_anchor(terms, latency, weights, table.priors, columns, smooth_sd)


def log_linear(
    point: Linearisation,
    departure: NDArray[np.float64],
    rows: StageRows,
    basis: ResidualBasis,
    columns: NDArray[np.float64] | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Design and response of a group: y = log t - log mu + share' U, whose slopes are offsets."""
    log_ms, design = point.design(rows.inputs, basis, residual_at=rows.edge, columns=columns)
    response = np.log(rows.latency_ms) - log_ms + design[:, : len(departure)] @ departure
    return design, response
