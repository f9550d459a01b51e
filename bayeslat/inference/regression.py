"""From rows of a trace to a stage's regression: linearise, even out the noise, calm outliers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bayeslat.features.design import Linearisation, coordinates, linearise, stage_inputs
from bayeslat.features.residual import ResidualBasis, span_basis
from bayeslat.features.thinning import evenly
from bayeslat.inference.anchor import Anchor, find_anchor
from bayeslat.inference.noise_choice import NoiseChoice, choose_noise
from bayeslat.inference.pilot import Pilots, fit_pilot
from bayeslat.inference.plan import FitPlan
from bayeslat.inference.repeats import row_weights
from bayeslat.inference.stage_rows import StageRows
from bayeslat.model.priors import stage_features, stage_priors
from bayeslat.model.problem import FeaturePriors

__all__ = ["StageRegression", "first_anchor", "log_linear", "regress", "stage_basis"]

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
    features : FeaturePriors
    anchor : Anchor
    projection : ndarray, shape (gpu, term, column)
    noise : NoiseChoice
    pilots : Pilots
    """

    designs: tuple[NDArray[np.float64], ...]
    responses: tuple[NDArray[np.float64], ...]
    features: FeaturePriors
    anchor: Anchor
    projection: NDArray[np.float64]
    noise: NoiseChoice
    pilots: Pilots


def regress(
    plan: FitPlan,
    stage: str,
    rows: Sequence[StageRows],
    basis: ResidualBasis,
    anchor: Anchor,
    noise: NoiseChoice | None = None,
) -> StageRegression:
    """Turn a stage's rows into its regression round an anchor.

    Parameters
    ----------
    plan : FitPlan
    stage : str
    rows : sequence over group of StageRows
    basis : ResidualBasis
    anchor : Anchor
    noise : NoiseChoice, optional
        Settled from the rows by default.

    Returns
    -------
    StageRegression
    """
    points = [
        linearise(
            anchor.shared + departure,
            stage_inputs(plan.spec, stage, plan.reference, plan.hardware[name]),
            basis,
        )
        for name, departure in zip(plan.gpus, anchor.departure, strict=True)
    ]
    pairs = []
    for part in rows:
        at = plan.gpus.index(part.gpu)
        pairs.append(log_linear(points[at], anchor.departure[at], part, basis))
    designs, responses = zip(*pairs, strict=True)
    features = stage_features(plan.spec, stage, basis)
    pilot_sd = np.where(np.isnan(features.shared_sd), _PILOT_SD * features.multiplier, _PILOT_SD)
    noise = noise or choose_noise(designs, responses, rows, basis, pilot_sd)
    even = [
        (z / s[:, None], y / s, w)
        for z, y, s, w in zip(designs, responses, noise.spread, noise.weights, strict=True)
    ]
    pilots = [fit_pilot(*group, pilot_sd, noise.dof) for group in even]
    return StageRegression(
        designs=tuple(design for design, _, _ in even),
        responses=tuple(pilot.pseudo_values(noise.dof) for pilot in pilots),
        features=features,
        anchor=anchor,
        projection=np.array([point.projection for point in points]),
        noise=noise,
        pilots=Pilots(
            effect=np.array([pilot.effect for pilot in pilots]),
            sd=np.array([pilot.sd for pilot in pilots]),
            weight=np.array([w.mean() if len(w) else 1.0 for w in noise.weights]),
        ),
    )


def first_anchor(
    plan: FitPlan,
    stage: str,
    rows: Sequence[StageRows],
    basis: ResidualBasis | None = None,
    most: float = np.inf,
) -> Anchor:
    """Fit the physics by GPU, the rows of its stacks together; a part of them is enough.

    Each configuration counts once: what physics misses there, all of its repeats miss.

    Parameters
    ----------
    plan : FitPlan
    stage : str
    rows : sequence over group of StageRows
    basis : ResidualBasis, optional
        Of a smooth correction beside the physics; none by default.
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
    each = min(max(_ROWS_FOR_ANCHOR // len(plan.gpus), _FEWEST_FOR_ANCHOR), _MOST_FOR_ANCHOR)
    terms, latency, weights, smooth = [], [], [], []
    for gpu in plan.gpus:
        parts = [part for part in rows if part.gpu == gpu]
        all_latency = np.concatenate([part.latency_ms for part in parts])
        kept = evenly(len(all_latency), int(min(most, each)))
        terms.append(np.concatenate([part.inputs.terms_ms for part in parts])[kept])
        latency.append(all_latency[kept])
        weights.append(np.concatenate([row_weights(part.config, 1.0) for part in parts])[kept])
        if basis is not None:
            columns = [basis.columns(part.inputs.raw, part.inputs.task) for part in parts]
            smooth.append(np.concatenate(columns)[kept])
    priors = stage_priors(plan.spec, stage)
    if basis is None:
        return find_anchor(terms, latency, weights, priors)
    return find_anchor(terms, latency, weights, priors, smooth, _PILOT_SD * basis.multiplier)


def stage_basis(plan: FitPlan, stage: str, rows: Sequence[StageRows]) -> ResidualBasis:
    """Span the residual basis over the rows of all groups."""
    residual = plan.spec.stages[stage].residual
    features = [feature.text for feature in residual.features] if residual else []
    tasks: list[str] = []
    if "task" in plan.frame:
        tasks = sorted({str(task) for part in rows for task in part.inputs.task or ()})
    return span_basis(
        features,
        residual.degree if residual else 0,
        np.concatenate([part.inputs.raw for part in rows]),
        coordinates(plan.spec, stage)[len(features) :],
        tasks if len(tasks) > 1 else [],
    )


def log_linear(
    point: Linearisation, departure: NDArray[np.float64], rows: StageRows, basis: ResidualBasis
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Design and response of a group: y = log t - log mu + share' U, whose slopes are offsets."""
    log_ms, design = point.design(rows.inputs, basis, residual_at=rows.edge)
    response = np.log(rows.latency_ms) - log_ms + design[:, : len(departure)] @ departure
    return design, response
