"""Trials: a GPU calibrated again and again from few of its rows, and judged by the others."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayeslat.counted import counted
from bayeslat.decisions.guard import Guard
from bayeslat.decisions.predict import predict
from bayeslat.decisions.prediction import Prediction
from bayeslat.errors import InputError
from bayeslat.evaluation.baselines.interface import TrainedBaseline
from bayeslat.evaluation.comparison.hierarchical import as_estimate
from bayeslat.evaluation.comparison.scoring import scatter_estimate, score_estimate
from bayeslat.evaluation.guardrail.affine_rival import (
    affine_points,
    choose_source,
    train_affine,
)
from bayeslat.evaluation.guardrail.fractions import decide_fractions
from bayeslat.evaluation.guardrail.trial_options import TrialOptions
from bayeslat.evaluation.holdout import Holdout, above_hurdles, hold_out, tell_beyond
from bayeslat.evaluation.measured import ADD_STAGES, measured_latencies
from bayeslat.evaluation.repeatability import run_to_run_error
from bayeslat.evaluation.stacks import rows_of_stack
from bayeslat.features.admit import admit
from bayeslat.features.hardware import Gpu, HardwareTable
from bayeslat.inference.calibration.calibrate import calibrate_group
from bayeslat.inference.posteriors.posterior import PosteriorData
from bayeslat.inference.rows.repeats import number_configs
from bayeslat.inference.rows.stage_rows import with_latency
from bayeslat.parallel import check_workers, run

__all__ = ["Trials", "run_trials"]


@dataclass(frozen=True, eq=False)
class Trials:
    """What came out.

    Attributes
    ----------
    options : TrialOptions
    source : str or None
        Key of the donor whose model the affine estimator carries over; None without one.
    run_to_run : float
        MAPE of one run, of what the budget is for, against the median of the configuration's
        others: what no prediction of a run can avoid. NaN without repeats.
    skipped : str
        Which numbers of rows are left out, and why; empty where none is.
    scores : DataFrame, one row a number of rows, repetition and stage
        `rows`, `repetition` and the scores of `score_estimate`.
    decisions : DataFrame, one row a number of rows, repetition, budget and test configuration
        `rows`, `repetition`, `config` (equal numbers, equal knobs), `fraction`, `budget_ms`,
        `p_exceed`, `decision`, `point_ms`, `measured_ms` (a run, or the median, as `of` says),
        `typical_ms` (the median), and `affine_ms` (NaN where there is no affine estimator).
    scatter : DataFrame, one row a number of rows, repetition, stage and test configuration
        `rows`, `repetition`, `config` (as above), `stage`, `point_ms`, `q05_ms`, `q95_ms`,
        `measured_ms` and `pit`, of one run.
    """

    options: TrialOptions
    source: str | None
    run_to_run: float
    skipped: str
    scores: pd.DataFrame
    decisions: pd.DataFrame
    scatter: pd.DataFrame


def run_trials(
    data: PosteriorData,
    traces: pd.DataFrame,
    gpu: Gpu,
    options: TrialOptions,
    *,
    stack: str = "",
    hardware: HardwareTable,
    jobs: int = 1,
    engine_address: str | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Trials:
    """Forget a GPU's calibration, and calibrate it anew from few rows.

    In each repetition, test configurations are drawn uniformly, and the first n of the others, in
    random order, calibrate. The donors stay as they were fitted: they may have measured the test
    configurations, as they have those that users ask about.

    Parameters
    ----------
    data : PosteriorData
    traces : DataFrame, one row a measurement
        Of the GPU; rows of the donors serve the affine estimator.
    gpu : Gpu
        Not a donor.
    options : TrialOptions
    stack : str
        The GPU's stack; empty where traces name none.
    hardware : HardwareTable
    jobs, engine_address
        Where repetitions run, as for `bayeslat.parallel.run`; trials do not depend on it.
    on_progress : callable (done, total), optional

    Returns
    -------
    Trials

    Raises
    ------
    TraceError
        With every row that breaks a rule.
    InputError
        If the GPU is a donor, fewer than 20 configurations of it were measured, none in all stages,
        or fewer are left to calibrate with than the least count.
    WorkerError
        As for `bayeslat.parallel.run`.
    """
    check_workers(jobs, engine_address)
    if gpu.key in data.fitted_gpus:
        raise InputError(f"{gpu.key} was fitted as a donor; trials need a GPU that was not")
    frame = admit(traces, data.spec, hardware)
    own = with_latency(data.spec, rows_of_stack(frame[frame["gpu"] == gpu.key], stack))
    targets = {group: each for group, each in data.targets.items() if group[0] != gpu.key}
    donors = replace(data, targets=targets)
    rivals = frame[frame["gpu"].isin(data.gpus)]
    source = choose_source(donors, rivals)
    setting = _Setting(donors, gpu, stack, options, own, rivals, source, hardware)
    repetitions = run(
        _run_repetition,
        range(options.repetitions),
        setting,
        jobs=jobs,
        engine_address=engine_address,
        on_progress=on_progress,
    )
    parts = [part for of_repetition in repetitions for part in of_repetition]
    decisions = _number_configs([part.decisions for part in parts], list(data.spec.knobs))
    if decisions.empty:
        raise InputError(
            f"no configuration of {gpu.key} that was held out was measured in all stages that the "
            f"budget is of ({options.budget}); {ADD_STAGES}"
        )
    return Trials(
        options,
        source,
        run_to_run_error(
            own[[*data.spec.knobs, *(["task"] if "task" in own else [])]],
            measured_latencies(data.spec, own, gpu, options.budget.bounded)[str(options.budget)],
        ),
        tell_beyond(options.counts, max(part.left for part in parts), gpu.key),
        pd.DataFrame([row for part in parts for row in part.scores]),
        decisions,
        _number_configs([part.scatter for part in parts], list(data.spec.knobs)),
    )


@dataclass(frozen=True)
class _Setting:
    """What all trials share."""

    data: PosteriorData  # without the GPU
    gpu: Gpu
    stack: str
    options: TrialOptions
    own: pd.DataFrame
    rivals: pd.DataFrame
    source: str | None
    hardware: HardwareTable


@dataclass(frozen=True)
class _Part:
    """One trial."""

    left: int  # configurations that are not held out
    scores: list[dict[str, Any]]
    decisions: pd.DataFrame
    scatter: pd.DataFrame


def _run_repetition(setting: _Setting, repetition: int) -> list[_Part]:
    """Hold configurations out, and calibrate with each number of the others."""
    options, spec, gpu = setting.options, setting.data.spec, setting.gpu
    seed, bounded = [options.seed, repetition], options.budget.bounded
    held = hold_out(spec, setting.own, gpu, options.test_configs, seed, bounded=bounded)
    affine = train_affine(
        spec, setting.rivals, setting.source, setting.hardware, held, options.seed
    )
    counts = [count for count in options.counts if count <= len(held.pool)]
    if not counts:
        raise InputError(
            f"{counted(len(held.pool), 'configuration')} of {gpu.key} left to calibrate with, "
            f"fewer than the least count, {min(options.counts)}; ask for fewer, or add traces"
        )
    return [_run(setting, held, affine, repetition, count) for count in counts]


def _run(
    setting: _Setting, held: Holdout, affine: TrainedBaseline | None, repetition: int, count: int
) -> _Part:
    """Calibrate with so many rows, and judge by the test configurations."""
    gpu, stack, seed = setting.gpu, setting.stack, setting.options.seed
    rows = held.pool.iloc[:count]
    data = calibrate_group(setting.data, rows, gpu, stack, seed=seed)
    prediction = predict(data, held.test, gpu, stack=stack or None, seed=seed)
    budget = setting.options.budget
    estimate = as_estimate(prediction, [budget])
    points = {
        "point_ms": estimate.points[str(budget)],
        "typical_ms": held.typical_ms[str(budget)],
        "affine_ms": affine_points(affine, data.spec, rows, gpu, held.test, budget),
    }
    decisions = _decide(replace(setting, data=data), held, prediction, points)
    scatter = scatter_estimate(estimate, held.run_ms)
    knobs = pd.concat([held.test] * scatter["stage"].nunique(), ignore_index=True)
    about = {"rows": count, "repetition": repetition}
    return _Part(
        len(held.pool),
        [{**about, **row} for row in _scores(prediction, held, setting)],
        decisions.assign(**about),
        pd.concat([scatter, knobs], axis=1).assign(**about),
    )


def _scores(prediction: Prediction, held: Holdout, setting: _Setting) -> Iterator[dict[str, Any]]:
    """Score the stages, and what the budget is for."""
    estimate = as_estimate(prediction, [setting.options.budget], if_it_takes_time=True)
    return score_estimate(estimate, above_hurdles(setting.data.spec, held))


def _decide(
    setting: _Setting,
    held: Holdout,
    prediction: Prediction,
    points_ms: Mapping[str, NDArray[np.float64]],
) -> pd.DataFrame:
    """Decide about the test configurations, budget by budget."""
    options, stack = setting.options, setting.stack or None
    guard = Guard(
        setting.data,
        setting.gpu,
        (options.budget,),
        options.max_risk,
        stack,
        options.of,
        options.seed,
    )
    measured = held.run_ms
    if options.of == "typical":
        measured = held.typical_ms
        prediction = predict(
            setting.data, held.test, setting.gpu, stack=stack, of="typical", seed=options.seed
        )
    measured_ms = measured[str(options.budget)]
    decided = decide_fractions(guard, prediction, measured_ms, points_ms)
    knobs = held.test.iloc[decided["config"]].reset_index(drop=True)
    return pd.concat([decided.drop(columns="config"), knobs], axis=1)


def _number_configs(tables: Sequence[pd.DataFrame], knobs: Sequence[str]) -> pd.DataFrame:
    """Number the configurations of all trials, in place of their knobs."""
    table = pd.concat(tables, ignore_index=True)
    named = [name for name in (*knobs, "task") if name in table]
    return table.assign(config=number_configs(table[named])).drop(columns=named)
