"""A stage's rows, and what of their regression does not depend on where they are linearised."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bayeslat.features.design import StageInputs, coordinates, stage_inputs
from bayeslat.features.residual import ResidualBasis, span_basis
from bayeslat.features.terms import KindPrior
from bayeslat.inference.rows.plan import FitPlan
from bayeslat.inference.rows.stage_rows import StageRows, stage_rows
from bayeslat.model.priors import stage_features, stage_priors
from bayeslat.model.problem import FeaturePriors

__all__ = ["Grid", "StageTable", "stage_table"]


@dataclass(frozen=True)
class Grid:
    """The knob grid on a GPU's own data sheet.

    Attributes
    ----------
    inputs : StageInputs
    columns : ndarray, shape (config, column)
        The residual basis there.
    """

    inputs: StageInputs
    columns: NDArray[np.float64]


@dataclass(frozen=True)
class StageTable:
    """What a stage's regression is made of, wherever it is linearised.

    Attributes
    ----------
    rows : tuple over group of StageRows
    columns : tuple over group of ndarray, shape (row, column)
        The residual basis at the rows.
    grids : mapping of GPU key to Grid
    basis : ResidualBasis
    features : FeaturePriors
    priors : tuple of KindPrior, shape (term,)
        Of the physics terms.
    untold, minor : tuple of int
        Positions of those that rows cannot tell, and of those that residual columns are not
        orthogonal to (`SettledStage`).
    """

    rows: tuple[StageRows, ...]
    columns: tuple[NDArray[np.float64], ...]
    grids: Mapping[str, Grid]
    basis: ResidualBasis
    features: FeaturePriors
    priors: tuple[KindPrior, ...]
    untold: tuple[int, ...] = ()
    minor: tuple[int, ...] = ()


def stage_table(plan: FitPlan, stage: str) -> StageTable:
    """Gather a stage's rows, and span the residual basis over those of all groups.

    Parameters
    ----------
    plan : FitPlan
    stage : str

    Returns
    -------
    StageTable

    Raises
    ------
    InputError
        If no row has a latency of this stage, or none is above its hurdle.
    """
    rows = stage_rows(plan, stage)
    basis = _basis(plan, stage, rows)
    grids = {}
    for gpu in plan.gpus:
        inputs = stage_inputs(plan.spec, stage, plan.reference, plan.hardware[gpu])
        grids[gpu] = Grid(inputs, basis.columns(inputs.raw, inputs.task))
    return StageTable(
        rows=rows,
        columns=tuple(basis.columns(part.inputs.raw, part.inputs.task) for part in rows),
        grids=grids,
        basis=basis,
        features=stage_features(plan.spec, stage, basis),
        priors=tuple(stage_priors(plan.spec, stage)),
    )


def _basis(plan: FitPlan, stage: str, rows: Sequence[StageRows]) -> ResidualBasis:
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
