"""A stage's measured rows, group by group."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayeslat.errors import InputError
from bayeslat.features.design import StageInputs, stage_inputs
from bayeslat.features.hardware import Gpu
from bayeslat.features.hold_knobs import hold_knobs
from bayeslat.features.spec import Spec
from bayeslat.inference.rows.plan import FitPlan
from bayeslat.inference.rows.repeats import number_configs

__all__ = [
    "StageRows",
    "check_measured",
    "held_rows",
    "latency_of",
    "least_ms",
    "stage_rows",
    "with_latency",
]

_OUT = "leave it out (`--stages` of the commands, `only` of a spec)."


@dataclass(frozen=True)
class StageRows:
    """The rows of one group (a GPU, or a stack on a GPU) that hold a latency of the stage.

    Of a stage with a hurdle, those above it.

    Attributes
    ----------
    gpu : str
    inputs : StageInputs
    latency_ms : ndarray, shape (row,)
    config : ndarray of int, shape (row,)
        Repeats of a configuration have the same number.
    position : ndarray of int, shape (row,)
        Of each row in the table that it is from.
    edge : StageInputs or None
        Where the smooth correction is evaluated, for rows of which some lie beyond the training
        range; None where that is at `inputs`.
    """

    gpu: str
    inputs: StageInputs
    latency_ms: NDArray[np.float64]
    config: NDArray[np.int64]
    position: NDArray[np.int64]
    edge: StageInputs | None = None

    def __len__(self) -> int:
        return len(self.latency_ms)


def stage_rows(plan: FitPlan, stage: str) -> tuple[StageRows, ...]:
    """Gather a stage's rows, one part a group of the plan.

    Parameters
    ----------
    plan : FitPlan
    stage : str

    Returns
    -------
    tuple over group of StageRows

    Raises
    ------
    InputError
        If no row has a latency of this stage, or none is above its hurdle.
    """
    check_measured(plan, [stage])
    return tuple(_group_rows(plan, stage, group) for group in range(len(plan.groups)))


def check_measured(plan: FitPlan, stages: Iterable[str]) -> None:
    """Refuse stages of which nothing was measured.

    Parameters
    ----------
    plan : FitPlan
    stages : iterable of str

    Raises
    ------
    InputError
        With every stage of which no row of the plan has a latency, or none above its hurdle.
    """
    rows = plan.frame.iloc[np.concatenate(plan.members)]
    empty = [
        stage
        for stage in stages
        if not (latency_of(plan.spec, stage, rows) > least_ms(plan.spec, stage)).any()
    ]
    if empty:
        raise InputError("\n".join(f"stage {name!r}: {_why_none(plan, name)}" for name in empty))


def _why_none(plan: FitPlan, stage: str) -> str:
    """Say why no row of the chosen GPUs holds a latency of the stage, and the cure."""
    column, least = plan.spec.stages[stage].column, least_ms(plan.spec, stage)
    if least and (latency_of(plan.spec, stage, plan.frame) <= least).any():
        return (
            f"no latency of the chosen GPUs in column {column!r} is above the hurdle of {least:g} "
            f"ms, so how long the stage takes is not known. Add rows under a higher load, or {_OUT}"
        )
    return f"column {column!r} holds no latency of the chosen GPUs. Measure the stage, or {_OUT}"


def latency_of(spec: Spec, stage: str, frame: pd.DataFrame) -> NDArray[np.float64]:
    """Read a stage's latency in ms, NaN where it was not measured. Shape (row,).

    Parameters
    ----------
    spec : Spec
    stage : str
    frame : DataFrame, one row a measurement
    """
    column = spec.stages[stage].column
    if column not in frame:
        return np.full(len(frame), np.nan)
    latency: NDArray[np.float64] = frame[column].to_numpy(dtype=float, na_value=np.nan)
    return latency


def least_ms(spec: Spec, stage: str) -> float:
    """Return the latency that a row must be above to be one of the stage's regression."""
    hurdle = spec.stages[stage].hurdle
    return hurdle.above_ms if hurdle else 0.0


def _group_rows(plan: FitPlan, stage: str, group: int) -> StageRows:
    rows, gpu = plan.frame.iloc[plan.members[group]], plan.hardware[plan.groups[group][0]]
    held = held_rows(plan.spec, stage, rows, gpu, number_configs(rows[list(plan.reference)]))
    return replace(held, position=plan.members[group][held.position])


def held_rows(
    spec: Spec,
    stage: str,
    frame: pd.DataFrame,
    gpu: Gpu,
    labels: NDArray[np.int64],
    reference: pd.DataFrame | None = None,
) -> StageRows:
    """Take the rows of a GPU that hold a latency of the stage.

    Parameters
    ----------
    spec : Spec
    stage : str
    frame : DataFrame, one row a measurement
        Of this GPU alone.
    gpu : Gpu
    labels : ndarray of int, shape (row,)
        Of `number_configs`.
    reference : DataFrame, one row a config, optional
        Spans the training range, for rows that may lie beyond it: their smooth correction is that
        of its edge, as it will be when they are predicted.

    Returns
    -------
    StageRows
    """
    latency = latency_of(spec, stage, frame)
    held = latency > least_ms(spec, stage)
    kept = frame[held]
    inputs, edge = stage_inputs(spec, stage, kept, gpu), None
    if reference is not None:
        inside = hold_knobs(kept, reference, spec.knobs)
        edge = None if inside is kept else stage_inputs(spec, stage, inside, gpu)
    config = np.unique(labels[held], return_inverse=True)[1]
    return StageRows(gpu.key, inputs, latency[held], config, np.flatnonzero(held), edge)


def with_latency(spec: Spec, rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows that hold the latency of a stage: one that ran out of memory holds none.

    Parameters
    ----------
    spec : Spec
    rows : DataFrame, one row a measurement
    """
    columns = [name for name in spec.latency_columns if name in rows]
    return rows.dropna(subset=columns, how="all") if columns else rows.head(0)
