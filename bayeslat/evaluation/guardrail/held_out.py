"""Measured configurations of a GPU that calibrated nothing: what a posterior is judged by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayeslat.arguments import check_tables, tell_kind
from bayeslat.counted import counted
from bayeslat.decisions.guard import Guard
from bayeslat.decisions.predict import predict
from bayeslat.decisions.prediction import Prediction
from bayeslat.decisions.suggest.pool import make_pool
from bayeslat.errors import InputError
from bayeslat.evaluation.guardrail.risk_control import (
    RiskControl,
    control_risk,
    limit_problems,
)
from bayeslat.evaluation.measured import ADD_STAGES, measured_latencies
from bayeslat.evaluation.stacks import choose_stack, rows_of_stack
from bayeslat.features.admit import admit
from bayeslat.features.gpu_rows import gpu_rows
from bayeslat.features.hardware import HardwareTable, load_hardware
from bayeslat.inference.rows.repeats import number_configs

__all__ = ["HeldOut", "bound_false_accepts", "control_guard", "predict_held_out"]


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Held-out configurations with their predictions.

    Attributes
    ----------
    prediction : Prediction
        One row a configuration.
    measured_ms : mapping of str to ndarray, shape (config,)
        Of each stage, of the `total` and of the stages that a budget of the guard joins, by its
        name. What the budget is for: a run of each, or the median of its runs; NaN where a stage
        was not measured.
    calibrated : int
        Configurations of the trace that were left out: the GPU was calibrated with them.
    fitted : bool
        Whether the GPU is a donor, so that the fit may have seen these rows.
    """

    prediction: Prediction
    measured_ms: Mapping[str, NDArray[np.float64]]
    calibrated: int
    fitted: bool

    def exceeded(self, guard: Guard) -> NDArray[np.bool_]:
        """Tell which configs exceeded any budget of a guard. Shape (config,)."""
        over = [self.measured_ms[str(budget)] > budget.ms for budget in guard.budgets]
        return np.any(over, axis=0)

    def measured(self, guard: Guard) -> NDArray[np.bool_]:
        """Tell which configs hold what the budgets are of. Shape (config,)."""
        missing = [np.isnan(self.measured_ms[str(budget)]) for budget in guard.budgets]
        return ~np.any(missing, axis=0)


def predict_held_out(guard: Guard, traces: pd.DataFrame, hardware: HardwareTable) -> HeldOut:
    """Predict the configurations of a trace that the guard's GPU was not calibrated with.

    Each configuration counts once, with one of its measurements by chance (or the median, for a
    guard of typical runs): repeats are not independent, and the first of each would all be of the
    first pass over a trace.

    Parameters
    ----------
    guard : Guard
    traces : DataFrame, one row a measurement
        Rows of other GPUs, and of other stacks than the guard's, are passed over.
    hardware : HardwareTable

    Returns
    -------
    HeldOut

    Raises
    ------
    TraceError
        With every row of the GPU that breaks a rule.
    InputError
        If the trace has no row of the GPU and stack, none but those that it was calibrated with, or
        none of the others holds what the budgets are of; or if there are several stacks and the
        guard names none.
    """
    data, gpu = guard.data, guard.gpu
    rows = admit(gpu_rows(traces, [gpu.key], hardware), data.spec, hardware)
    stack = choose_stack(data, gpu.key, guard.stack, rows)
    rows = rows_of_stack(rows, stack).reset_index(drop=True)
    if rows.empty:
        named = f"stack {stack!r}" if stack else "no named stack, as it was calibrated"
        raise InputError(f"no rows of {gpu.key} with {named}; add a trace, or name another stack")
    shuffled = np.random.default_rng(guard.seed).permutation(len(rows))
    pool = make_pool(data, rows.iloc[shuffled].reset_index(drop=True), (gpu.key, stack), None)
    label = number_configs(rows[[name for name in data.reference if name in rows]])
    chosen = shuffled[pool.eligible]
    chosen = chosen[np.argsort(np.unique(label, return_index=True)[1][label[chosen]])]
    held = rows.iloc[chosen].reset_index(drop=True)
    if held.empty:
        raise InputError(f"{gpu.key} was calibrated with every config of the trace; add others")
    bounded = [stages for budget in guard.budgets for stages in budget.bounded]
    measured = measured_latencies(data.spec, rows, gpu, bounded)
    if guard.of == "typical":
        measured = {name: _medians(ms, label) for name, ms in measured.items()}
    found = HeldOut(
        prediction=predict(data, held, gpu, stack=stack or None, of=guard.of, seed=guard.seed),
        measured_ms={name: ms[chosen] for name, ms in measured.items()},
        calibrated=pool.measured,
        fitted=gpu.key in data.fitted_gpus,
    )
    if not found.measured(guard).any():
        budgets = ", ".join(map(str, guard.budgets))
        raise InputError(
            f"none of {counted(len(held), 'held-out config')} of {gpu.key} was measured in all "
            f"stages that the budget is of ({budgets}); {ADD_STAGES}"
        )
    return found


def _medians(ms: NDArray[np.float64], label: NDArray[np.int64]) -> NDArray[np.float64]:
    """Median of the runs of each row's configuration; NaN without any. Shape (row,)."""
    return np.asarray(pd.Series(ms).groupby(label).transform("median"), dtype=np.float64)


def bound_false_accepts(
    guard: Guard, held: HeldOut, *, false_accepts: float = 0.01, confidence: float = 0.95
) -> RiskControl:
    """Bound a guard's false accepts by held-out configurations.

    Parameters
    ----------
    guard : Guard
        Of the posterior that predicted them.
    held : HeldOut
    false_accepts : float
        Their limit, as a part of all configurations.
    confidence : float

    Returns
    -------
    RiskControl
        With the guard's own `max_risk` among those of its table.

    Raises
    ------
    InputError
        If nothing is held out, or an argument has an impossible value.
    """
    exceedance = guard.judge(held.prediction)
    kept = held.measured(guard)
    control = control_risk(
        exceedance.least_max_risk[kept],
        exceedance.p_exceed.max(axis=0)[kept],
        held.exceeded(guard)[kept],
        limit=false_accepts,
        confidence=confidence,
        max_risk=guard.max_risk,
        fitted=held.fitted,
    )
    return replace(control, unmeasured=int((~kept).sum()))


def control_guard(
    guard: Guard,
    traces: pd.DataFrame,
    *,
    false_accepts: float = 0.01,
    confidence: float = 0.95,
    hardware: HardwareTable | None = None,
) -> RiskControl:
    """Bound a guard's false accepts by measurements that its GPU was not calibrated with.

    Learn then test, which asks nothing of the model: see `risk_control`.

    Parameters
    ----------
    guard : Guard
    traces : DataFrame, one row a measurement
        Rows of other GPUs, and of configurations that calibrated the GPU, are passed over. The
        others have to be like the requests to come.
    false_accepts : float
        Their limit, as a part of all configurations.
    confidence : float
    hardware : HardwareTable, optional
        For GPUs that the shipped table lacks.

    Returns
    -------
    RiskControl
        Its `largest` is the greatest max_risk that is shown to keep the limit; its table has the
        bound at each max_risk.

    Raises
    ------
    TraceError
        With every row of the GPU that breaks a rule.
    InputError
        If nothing is held out, the traces are no table, with every argument that has an impossible
        value, or if there are several stacks and the guard names none.
    """
    check_tables(hardware, traces=traces)
    if not isinstance(guard, Guard):
        raise InputError(f"guard is {tell_kind(guard)}; make one with posterior.guard(gpu, budget)")
    if problems := limit_problems(false_accepts, confidence):
        raise InputError("; ".join(problems))
    table = (hardware or load_hardware()).extended(guard.data.hardware)
    held = predict_held_out(guard, traces, table)
    return bound_false_accepts(guard, held, false_accepts=false_accepts, confidence=confidence)
