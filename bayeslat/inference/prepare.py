"""From a stage's regression to the problem that an engine solves: statistics, groups, scales."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bayeslat.features.residual import ResidualBasis
from bayeslat.inference.anchor import Anchor
from bayeslat.inference.plan import FitPlan
from bayeslat.inference.regression import stage_regression
from bayeslat.model.priors import stage_scales
from bayeslat.model.problem import StageProblem
from bayeslat.model.statistics import stack_statistics, summarise

__all__ = ["PreparedStage", "prepare_stage"]


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
    """Reduce a stage's rows to the problem that an engine solves; the rows are not kept.

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
    rows = stage_regression(plan, stage)
    parts = [summarise(z, y) for z, y in zip(rows.designs, rows.responses, strict=True)]
    problem = StageProblem(
        statistics=stack_statistics(parts),
        tree=plan.tree,
        features=rows.features,
        layout=stage_scales(plan.spec, stage, rows.basis, plan.groups, plan.tree),
    )
    return PreparedStage(problem, rows.basis, rows.anchor, rows.projection, rows.noise_dof)
