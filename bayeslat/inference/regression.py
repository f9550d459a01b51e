"""From rows of a trace to a stage's regression: anchor, linearise, calm outliers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bayeslat.errors import InputError
from bayeslat.features.design import (
    Linearisation,
    StageInputs,
    coordinates,
    linearise,
    stage_inputs,
)
from bayeslat.features.residual import ResidualBasis, span_basis
from bayeslat.features.terms import KindPrior
from bayeslat.features.thinning import evenly
from bayeslat.inference.anchor import Anchor, find_anchor
from bayeslat.inference.plan import FitPlan
from bayeslat.inference.robust import robustify
from bayeslat.model.priors import stage_features, stage_priors
from bayeslat.model.problem import FeaturePriors

__all__ = ["StageRegression", "stage_regression"]

_ROWS_FOR_ANCHOR = 5000  # of a GPU: the point of linearisation need not be exact
_PILOT_SD = 0.3  # of effects in the pilot fits that only find outliers


@dataclass(frozen=True)
class StageRegression:
    """A stage's rows as a linear regression of log latency, and what it was linearised round.

    Attributes
    ----------
    designs : tuple over group of ndarray, shape (config, feature)
        Shares of the physics terms, then residual columns orthogonal to them.
    responses : tuple over group of ndarray, shape (config,)
        Log latency less the physics, with outliers calmed.
    features : FeaturePriors
    basis : ResidualBasis
    anchor : Anchor
    projection : ndarray, shape (gpu, term, column)
    noise_dof : float
    """

    designs: tuple[NDArray[np.float64], ...]
    responses: tuple[NDArray[np.float64], ...]
    features: FeaturePriors
    basis: ResidualBasis
    anchor: Anchor
    projection: NDArray[np.float64]
    noise_dof: float


def stage_regression(plan: FitPlan, stage: str) -> StageRegression:
    """Turn a stage's rows into its regression.

    Parameters
    ----------
    plan : FitPlan
    stage : str

    Returns
    -------
    StageRegression

    Raises
    ------
    InputError
        If no row has a latency of this stage.
    ConvergenceError
        If the physics has no reachable mode.
    """
    rows = [_measured(plan, stage, group) for group in range(len(plan.groups))]
    if not any(len(latency) for _, latency in rows):
        raise InputError(
            f"stage {stage!r}: column {plan.spec.stages[stage].column!r} holds no latency of the "
            "chosen GPUs. Measure the stage, or take it out of the spec."
        )
    of_gpu = [[g for g, (gpu, _) in enumerate(plan.groups) if gpu == name] for name in plan.gpus]
    anchor = _anchor(rows, of_gpu, stage_priors(plan.spec, stage))
    basis = _basis(plan, stage, [inputs for inputs, _ in rows])
    points = [
        linearise(
            anchor.shared + anchor.departure[i],
            stage_inputs(plan.spec, stage, plan.reference, plan.hardware[name]),
            basis,
        )
        for i, name in enumerate(plan.gpus)
    ]
    pairs = []
    for (gpu, _), row in zip(plan.groups, rows, strict=True):
        at = plan.gpus.index(gpu)
        pairs.append(_log_linear(points[at], anchor.departure[at], *row, basis))
    designs = tuple(design for design, _ in pairs)
    features = stage_features(plan.spec, stage, basis)
    pilot_sd = np.where(np.isnan(features.shared_sd), _PILOT_SD * features.multiplier, _PILOT_SD)
    calm = robustify(designs, [response for _, response in pairs], pilot_sd)
    projection = np.array([point.projection for point in points])
    return StageRegression(designs, calm.response, features, basis, anchor, projection, calm.dof)


def _measured(plan: FitPlan, stage: str, group: int) -> tuple[StageInputs, NDArray[np.float64]]:
    """Inputs and latencies of a group's rows that hold this stage."""
    rows = plan.frame.iloc[plan.members[group]]
    column = plan.spec.stages[stage].column
    latency = (
        rows[column].to_numpy(dtype=float, na_value=np.nan)
        if column in rows
        else np.full(len(rows), np.nan)
    )
    held = ~np.isnan(latency)
    gpu = plan.hardware[plan.groups[group][0]]
    return stage_inputs(plan.spec, stage, rows[held], gpu), latency[held]


def _anchor(
    rows: Sequence[tuple[StageInputs, NDArray[np.float64]]],
    of_gpu: Sequence[Sequence[int]],
    priors: Sequence[KindPrior],
) -> Anchor:
    """Fit the physics by GPU, the rows of its stacks together; a part of them is enough."""
    terms, latency = [], []
    for groups in of_gpu:
        all_terms = np.concatenate([rows[g][0].terms_ms for g in groups])
        all_latency = np.concatenate([rows[g][1] for g in groups])
        kept = evenly(len(all_latency), _ROWS_FOR_ANCHOR)
        terms.append(all_terms[kept])
        latency.append(all_latency[kept])
    return find_anchor(terms, latency, priors)


def _basis(plan: FitPlan, stage: str, inputs: Sequence[StageInputs]) -> ResidualBasis:
    """Span the residual basis over the rows of all groups."""
    residual = plan.spec.stages[stage].residual
    features = [feature.text for feature in residual.features] if residual else []
    tasks: list[str] = []
    if "task" in plan.frame:
        tasks = sorted({str(task) for part in inputs for task in part.task or ()})
    return span_basis(
        features,
        residual.degree if residual else 0,
        np.concatenate([part.raw for part in inputs]),
        coordinates(plan.spec, stage)[len(features) :],
        tasks if len(tasks) > 1 else [],
    )


def _log_linear(
    point: Linearisation,
    departure: NDArray[np.float64],
    inputs: StageInputs,
    latency_ms: NDArray[np.float64],
    basis: ResidualBasis,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Design and response of a group: y = log t - log mu + share' U, whose slopes are offsets."""
    log_ms, design = point.design(inputs, basis)
    return design, np.log(latency_ms) - log_ms + design[:, : len(departure)] @ departure
