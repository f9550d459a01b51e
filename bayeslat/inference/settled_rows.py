"""Rows at a settled point: linearised there, outliers calmed, gross errors told."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bayeslat.features.design import Linearisation
from bayeslat.inference.pilot import pseudo_values
from bayeslat.inference.plan import FitPlan
from bayeslat.inference.regression import log_linear
from bayeslat.inference.repeats import number_configs
from bayeslat.inference.settled import SettledPoint, SettledStage
from bayeslat.inference.stage_rows import StageRows, held_rows
from bayeslat.inference.stream.outliers import Outliers
from bayeslat.inference.stream.to_sums import noise_units

__all__ = ["Regression", "gross_rows", "noise_off", "settled_rows"]

type Regression = tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]
"""Of a group: positions of its rows, design and response. Shapes (row,), (row, feature), (row,)."""


@dataclass(frozen=True)
class _Linear:
    """Rows of a group, over the noise shape."""

    held: StageRows
    design: NDArray[np.float64]
    response: NDArray[np.float64]
    spread: NDArray[np.float64]


def settled_rows(
    plan: FitPlan, point: SettledPoint, stage: str, group: int, members: NDArray[np.int64]
) -> Regression:
    """Linearise rows of a group at a settled point, and calm their outliers."""
    part, rows = point.stages[stage], _linear(plan, point, stage, group, members)
    fitted, sd = rows.design @ part.pilots.effect[group], part.pilots.sd[group]
    response = pseudo_values(fitted, rows.response - fitted, sd, part.noise_dof)
    return members[rows.held.position], rows.design, response


def noise_off(
    plan: FitPlan, point: SettledPoint, stage: str, group: int, members: NDArray[np.int64]
) -> NDArray[np.float64]:
    """How far the configurations of a group are off its pilot, in scales of its noise.

    Shape (config,): means of their repeats. Of those beyond the training range, the pilot knows
    little: they are left out.
    """
    part, rows = point.stages[stage], _linear(plan, point, stage, group, members)
    if not len(rows.held):
        return np.zeros(0)
    within = ~_beyond(part, rows.held)
    off = (rows.response - rows.design @ part.pilots.effect[group]) / part.pilots.sd[group]
    labels = np.unique(rows.held.config[within], return_inverse=True)[1]
    means: NDArray[np.float64] = np.bincount(labels, off[within]) / np.bincount(labels)
    return means


def gross_rows(
    plan: FitPlan, point: SettledPoint, stage: str, group: int, members: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Tell which rows of a group a pass sets aside, by position. Shape (gross,)."""
    part, rows = point.stages[stage], _linear(plan, point, stage, group, members)
    if not len(rows.held):
        return members[:0]
    unit = noise_units(part, part.pilots.sd)[group]
    residual = (rows.response - rows.design @ part.pilots.effect[group]) / unit
    beyond = _beyond(part, rows.held)
    outliers = Outliers(part, hurdle=point.spec.stages[stage].hurdle is not None)
    gross = outliers.gross(residual, 1.0 / (unit * rows.spread), beyond)
    return members[:0] if gross is None else members[rows.held.position[gross]]


def _beyond(part: SettledStage, held: StageRows) -> NDArray[np.bool_]:
    """Tell which rows lie beyond the training range in a residual feature. Shape (row,)."""
    features = np.flatnonzero(part.basis.moved[: len(part.basis.features)])
    places = np.abs(part.basis.places(held.inputs.raw)[:, features])
    beyond: NDArray[np.bool_] = np.any(places > 1 + 1e-9, axis=1)
    return beyond


def _linear(
    plan: FitPlan, point: SettledPoint, stage: str, group: int, members: NDArray[np.int64]
) -> _Linear:
    """Linearise rows of a group at a settled point."""
    part, name = point.stages[stage], point.groups[group][0]
    gpu = point.gpus.index(name)
    rows = plan.frame.iloc[members]
    labels = number_configs(rows[list(plan.reference)])
    held = held_rows(point.spec, stage, rows, point.hardware[name], labels)
    departure = part.departure[gpu]
    view = Linearisation(part.shared_efficiency + departure, part.projection[gpu])
    design, response = log_linear(view, departure, held, part.basis)
    spread = part.noise_shape.spread(part.basis, held.inputs.raw)
    return _Linear(held, design / spread[:, None], response / spread, spread)
