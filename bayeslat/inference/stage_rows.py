"""A stage's measured rows, group by group."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bayeslat.errors import InputError
from bayeslat.features.design import StageInputs, stage_inputs
from bayeslat.inference.plan import FitPlan
from bayeslat.inference.repeats import number_configs

__all__ = ["StageRows", "stage_rows"]


@dataclass(frozen=True)
class StageRows:
    """The rows of one group (a GPU, or a stack on a GPU) that hold a latency of the stage.

    Attributes
    ----------
    gpu : str
    inputs : StageInputs
    latency_ms : ndarray, shape (row,)
    config : ndarray of int, shape (row,)
        Repeats of a configuration have the same number.
    """

    gpu: str
    inputs: StageInputs
    latency_ms: NDArray[np.float64]
    config: NDArray[np.int64]

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
        If no row has a latency of this stage.
    """
    rows = tuple(_group_rows(plan, stage, group) for group in range(len(plan.groups)))
    if not any(map(len, rows)):
        raise InputError(
            f"stage {stage!r}: column {plan.spec.stages[stage].column!r} holds no latency of the "
            "chosen GPUs. Measure the stage, or take it out of the spec."
        )
    return rows


def _group_rows(plan: FitPlan, stage: str, group: int) -> StageRows:
    rows = plan.frame.iloc[plan.members[group]]
    column = plan.spec.stages[stage].column
    latency = (
        rows[column].to_numpy(dtype=float, na_value=np.nan)
        if column in rows
        else np.full(len(rows), np.nan)
    )
    held = ~np.isnan(latency)
    gpu = plan.groups[group][0]
    inputs = stage_inputs(plan.spec, stage, rows[held], plan.hardware[gpu])
    config = number_configs(rows.loc[held, list(plan.reference.columns)])
    return StageRows(gpu, inputs, latency[held], config)
