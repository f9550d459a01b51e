"""From rows of a trace to a stage's regression: anchor, linearise, calm outliers, summarise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayeslat.errors import InputError
from bayeslat.features.design import (
    Linearisation,
    StageInputs,
    coordinates,
    linearise,
    stage_inputs,
)
from bayeslat.features.hardware import Gpu
from bayeslat.features.residual import ResidualBasis, span_basis
from bayeslat.features.spec import Spec
from bayeslat.features.terms import KindPrior
from bayeslat.inference.anchor import Anchor, find_anchor
from bayeslat.inference.robust import robustify
from bayeslat.model.groups import GroupTree, grow_tree
from bayeslat.model.priors import feature_priors, scale_layout
from bayeslat.model.problem import StageProblem
from bayeslat.model.statistics import stack_statistics, summarise

__all__ = ["FitPlan", "PreparedStage", "prepare_stage"]

_PILOT_SD = 0.3  # of effects in the pilot fits that only find outliers


@dataclass(frozen=True)
class FitPlan:
    """What is the same for every stage of a fit.

    Attributes
    ----------
    spec : Spec
    frame : DataFrame, one row a measurement
        With canonical GPU keys; index 0, 1, ...
    hardware : mapping of GPU key to Gpu
    groups : tuple of (gpu, stack)
    members : tuple of ndarray of int
        Positions of each group's rows in `frame`.
    reference : DataFrame, one row a config
    """

    spec: Spec
    frame: pd.DataFrame
    hardware: Mapping[str, Gpu]
    groups: tuple[tuple[str, str], ...]
    members: tuple[NDArray[np.int64], ...]
    reference: pd.DataFrame

    @property
    def gpus(self) -> tuple[str, ...]:
        """The GPUs, in order."""
        return tuple(dict.fromkeys(gpu for gpu, _ in self.groups))

    @property
    def tree(self) -> GroupTree:
        """Stacks, GPUs and families."""
        return grow_tree(self.groups, {gpu: self.hardware[gpu].family for gpu in self.gpus})


@dataclass(frozen=True)
class PreparedStage:
    """A stage's regression, and what it was linearised round.

    Attributes
    ----------
    problem : StageProblem
    basis : ResidualBasis
    anchor : Anchor
    projection : ndarray, shape (gpu, term, column)
    noise_dof : float
    """

    problem: StageProblem
    basis: ResidualBasis
    anchor: Anchor
    projection: NDArray[np.float64]
    noise_dof: float


def prepare_stage(plan: FitPlan, stage: str) -> PreparedStage:
    """Turn a stage's rows into its regression.

    Parameters
    ----------
    plan : FitPlan
    stage : str

    Returns
    -------
    PreparedStage

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
    kinds = [term.kind.value for term in plan.spec.stages[stage].physics.values()]
    priors = [plan.spec.priors[term.kind] for term in plan.spec.stages[stage].physics.values()]
    of_gpu = [[g for g, (gpu, _) in enumerate(plan.groups) if gpu == name] for name in plan.gpus]
    anchor = _anchor(rows, of_gpu, priors)
    basis = _basis(plan, stage, [inputs for inputs, _ in rows])
    points = [
        linearise(
            anchor.shared + anchor.departure[i],
            stage_inputs(plan.spec, stage, plan.reference, plan.hardware[name]),
            basis,
        )
        for i, name in enumerate(plan.gpus)
    ]
    gpu_of = [plan.gpus.index(gpu) for gpu, _ in plan.groups]
    pairs = [
        _regression(points[g], anchor.departure[g], *row, basis)
        for g, row in zip(gpu_of, rows, strict=True)
    ]
    features = feature_priors(list(plan.spec.stages[stage].physics), kinds, priors, basis)
    pilot_sd = np.where(np.isnan(features.shared_sd), _PILOT_SD * features.multiplier, _PILOT_SD)
    calm = robustify([z for z, _ in pairs], [y for _, y in pairs], pilot_sd)
    designs = [z for z, _ in pairs]
    problem = StageProblem(
        statistics=stack_statistics(
            [summarise(z, y) for z, y in zip(designs, calm.response, strict=True)]
        ),
        tree=plan.tree,
        features=features,
        layout=scale_layout(kinds, priors, basis, plan.groups, plan.tree),
    )
    projection = np.array([point.projection for point in points])
    return PreparedStage(problem, basis, anchor, projection, calm.dof)


def _measured(plan: FitPlan, stage: str, group: int) -> tuple[StageInputs, NDArray[np.float64]]:
    """Inputs and latencies of a group's rows that hold this stage."""
    rows = plan.frame.iloc[plan.members[group]]
    latency = rows[plan.spec.stages[stage].column].to_numpy(dtype=float, na_value=np.nan)
    held = ~np.isnan(latency)
    gpu = plan.hardware[plan.groups[group][0]]
    return stage_inputs(plan.spec, stage, rows[held], gpu), latency[held]


def _anchor(
    rows: Sequence[tuple[StageInputs, NDArray[np.float64]]],
    of_gpu: Sequence[Sequence[int]],
    priors: Sequence[KindPrior],
) -> Anchor:
    """Fit the physics by GPU, the rows of its stacks together."""
    return find_anchor(
        [np.concatenate([rows[g][0].terms_ms for g in groups]) for groups in of_gpu],
        [np.concatenate([rows[g][1] for g in groups]) for groups in of_gpu],
        priors,
    )


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


def _regression(
    point: Linearisation,
    departure: NDArray[np.float64],
    inputs: StageInputs,
    latency_ms: NDArray[np.float64],
    basis: ResidualBasis,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Design and response of a group: y = log t - log mu + share' U, whose slopes are offsets."""
    log_ms, design = point.design(inputs, basis)
    return design, np.log(latency_ms) - log_ms + design[:, : len(departure)] @ departure
