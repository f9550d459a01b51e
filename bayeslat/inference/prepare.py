"""From a stage's rows to the problem that an engine solves: statistics, groups, scales."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bayeslat.features.noise_shape import NoiseShape
from bayeslat.features.residual import ResidualBasis
from bayeslat.inference.anchor import Anchor
from bayeslat.inference.draws import mean_effects
from bayeslat.inference.mode import find_mode
from bayeslat.inference.pilot import Pilots
from bayeslat.inference.plan import FitPlan
from bayeslat.inference.regression import StageRegression, first_anchor, regress, stage_basis
from bayeslat.inference.stage_rows import stage_rows
from bayeslat.model.collapsed_data import collapse
from bayeslat.model.priors import stage_scales
from bayeslat.model.problem import StageProblem
from bayeslat.model.statistics import stack_statistics, summarise

__all__ = ["PreparedStage", "prepare_stage"]

_RELINEARISATIONS = 2  # a third moves nothing


@dataclass(frozen=True)
class PreparedStage:
    """A stage's problem, and what it was linearised round.

    Attributes
    ----------
    problem : StageProblem
    basis : ResidualBasis
    anchor : Anchor
    projection : ndarray, shape (gpu, term, column)
    noise_shape : NoiseShape
    noise_dof : float
    measured : tuple over group of int
        Rows that hold the stage.
    positions : tuple over group of ndarray of int, shape (row,)
        Of those rows in the table.
    pilots : Pilots
        Round which centre outliers were calmed.
    regression : StageRegression
        The rows, which a posterior does not keep.
    """

    problem: StageProblem
    basis: ResidualBasis
    anchor: Anchor
    projection: NDArray[np.float64]
    noise_shape: NoiseShape
    noise_dof: float
    measured: tuple[int, ...]
    positions: tuple[NDArray[np.int64], ...]
    pilots: Pilots
    regression: StageRegression


def prepare_stage(plan: FitPlan, stage: str) -> PreparedStage:
    """Reduce a stage's rows to the problem that an engine solves.

    The physics alone gives the first point of linearisation; the mode of the hierarchy, which
    knows the smooth correction and the other GPUs, gives the next ones (Gauss and Newton's steps).

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
        If the physics, or the hierarchy, has no reachable mode.
    """
    rows = stage_rows(plan, stage)
    basis = stage_basis(plan, stage, rows)
    regression = regress(plan, stage, rows, basis, first_anchor(plan, stage, rows))
    problem = _problem(plan, stage, basis, regression)
    for _ in range(_RELINEARISATIONS):
        anchor = _next_anchor(plan, problem, regression.anchor)
        regression = regress(plan, stage, rows, basis, anchor, regression.noise)
        problem = _problem(plan, stage, basis, regression)
    return PreparedStage(
        problem=problem,
        basis=basis,
        anchor=regression.anchor,
        projection=regression.projection,
        noise_shape=regression.noise.shape,
        noise_dof=regression.noise.dof,
        measured=tuple(map(len, rows)),
        positions=tuple(part.position for part in rows),
        pilots=regression.pilots,
        regression=regression,
    )


def _problem(
    plan: FitPlan, stage: str, basis: ResidualBasis, regression: StageRegression
) -> StageProblem:
    """Sum the rows up, and lay out groups and scales."""
    groups = zip(regression.designs, regression.responses, regression.noise.weights, strict=True)
    return StageProblem(
        statistics=stack_statistics([summarise(*group) for group in groups]),
        tree=plan.tree,
        features=regression.features,
        layout=stage_scales(plan.spec, stage, basis, plan.groups, plan.tree),
    )


def _next_anchor(plan: FitPlan, problem: StageProblem, anchor: Anchor) -> Anchor:
    """Where the mode of the hierarchy has each GPU's efficiencies."""
    mode = find_mode(collapse(problem))
    effects = mean_effects(problem, problem.layout.from_scores(mode.centre))
    nodes = [problem.tree.index(gpu) for gpu in plan.gpus]
    return Anchor(anchor.shared, effects[nodes, : len(anchor.shared)])
