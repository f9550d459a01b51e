"""Held-out-GPU cross-validation: what error to expect on the next GPU, and which donor helps."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from bayeslat.counted import counted
from bayeslat.decisions.predict import predict
from bayeslat.errors import InputError
from bayeslat.evaluation.comparison.hierarchical import as_estimate
from bayeslat.evaluation.comparison.scoring import score_estimate
from bayeslat.evaluation.crossval_scores import ALL, CrossValidation
from bayeslat.evaluation.holdout import Holdout, above_hurdles, hold_out, tell_left
from bayeslat.features.admit import admit
from bayeslat.features.hardware import HardwareTable, load_hardware
from bayeslat.features.spec import Spec
from bayeslat.inference.calibration.calibrate import calibrate_stacks
from bayeslat.parallel import check_workers, run
from bayeslat.traces.names import STACK

__all__ = ["cross_validate"]

_LEAST_DONORS = 2
_USUAL_COUNTS = (0, 5, 10, 25)
_SCORES = ("stage", "mape", "coverage_90", "width_90")


@dataclass(frozen=True)
class _Setting:
    """What all targets share."""

    spec: Spec
    frame: pd.DataFrame
    table: HardwareTable
    splits: int
    test_configs: int
    engine: Any
    seed: int
    counts: tuple[int, ...] = ()


@dataclass(frozen=True)
class _Job:
    """A target, with donors to fit."""

    target: str
    change: str
    donors: tuple[str, ...]


def cross_validate(
    spec: Spec,
    traces: pd.DataFrame,
    *,
    donors: Sequence[str] | None = None,
    counts: Sequence[int] | None = None,
    splits: int = 3,
    test_configs: int = 100,
    hardware: HardwareTable | None = None,
    engine: str = "laplace",
    seed: int = 0,
    jobs: int = 1,
    engine_address: str | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> CrossValidation:
    """Hold each donor out, fit the others, calibrate it with a few rows, and predict the rest.

    Each donor is also left out of the others, and each further GPU of the trace added to them: how
    the error on the targets changes is what a donor is worth.

    Parameters
    ----------
    spec : Spec
    traces : DataFrame, one row a measurement
    donors : sequence of str, optional
        Keys or aliases; all GPUs of the trace by default. The others are candidates.
    counts : sequence of int, optional
        Calibration rows; by default those of 0, 5, 10 and 25 that every donor has configurations
        for.
    splits : int
        Random choices of calibration and test configurations.
    test_configs : int
        At most half of a GPU's configurations.
    hardware : HardwareTable, optional
    engine : {"laplace", "nuts"}
    seed : int
    jobs, engine_address
        Where targets are scored, as for `bayeslat.parallel.run`; scores do not depend on it.
    on_progress : callable (done, total), optional

    Returns
    -------
    CrossValidation

    Raises
    ------
    TraceError
        With every row that breaks a rule.
    InputError
        If there are fewer than three donors, too few configurations of one, or more calibration
        rows are asked for than one has configurations to calibrate with.
    WorkerError
        As for `bayeslat.parallel.run`.
    """
    check_workers(jobs, engine_address)
    table = hardware or load_hardware()
    frame = admit(traces, spec, table)
    measured = tuple(sorted(frame["gpu"].unique()))
    chosen = measured if donors is None else tuple(table.resolve(name).key for name in donors)
    _check(chosen, measured, counts, splits)
    others = [gpu for gpu in measured if gpu not in chosen]
    plan = list(_plan(chosen, others))
    setting = _Setting(spec, frame, table, splits, test_configs, engine, seed)
    setting = replace(setting, counts=_choose_counts(setting, chosen, counts))
    found = run(
        _score_target,
        plan,
        setting,
        jobs=jobs,
        engine_address=engine_address,
        on_progress=on_progress,
    )
    rows = [row for of_target in found for row in of_target]
    return CrossValidation(chosen, pd.DataFrame(rows))


def _check(
    donors: Sequence[str], measured: Sequence[str], counts: Sequence[int] | None, splits: int
) -> None:
    problems = []
    if missing := [gpu for gpu in donors if gpu not in measured]:
        problems.append(
            f"no rows of GPU {', '.join(missing)}; the trace holds {', '.join(measured)}"
        )
    if len(donors) <= _LEAST_DONORS:
        problems.append(
            f"{counted(len(donors), 'donor')} ({', '.join(donors)}); to hold one out and fit "
            f"two, at least {_LEAST_DONORS + 1} are needed: add traces"
        )
    if counts is not None and (not counts or min(counts) < 0):
        problems.append(f"counts are {list(counts)}; give numbers of rows, 0 or more")
    if splits < 1:
        problems.append(f"splits is {splits}; it must be at least 1")
    if problems:
        raise InputError("; ".join(problems))


def _choose_counts(
    setting: _Setting, donors: Sequence[str], counts: Sequence[int] | None
) -> tuple[int, ...]:
    """Refuse counts that a donor has too few configurations for, before anything is fitted."""
    left = {gpu: len(_hold_out(setting, gpu, 0).pool) for gpu in donors}
    if counts is None:
        return tuple(count for count in _USUAL_COUNTS if count <= min(left.values()))
    problems = []
    for gpu, pool in left.items():
        if many := [count for count in counts if count > pool]:
            problems.append(f"counts are {', '.join(map(str, many))}, but {tell_left(gpu, pool)}")
    if problems:
        raise InputError(f"{'; '.join(problems)}. Ask for fewer, or add traces")
    return tuple(counts)


def _hold_out(setting: _Setting, target: str, split: int) -> Holdout:
    """Split a target's rows."""
    own, seed = setting.frame[setting.frame["gpu"] == target], [setting.seed, split]
    gpu = setting.table.resolve(target)
    return hold_out(setting.spec, own, gpu, setting.test_configs, seed, keep=[STACK])


def _plan(donors: Sequence[str], candidates: Sequence[str]) -> Iterator[_Job]:
    """Each donor as the target: from all others, without one of them, with one candidate more."""
    for target in donors:
        rest = tuple(gpu for gpu in donors if gpu != target)
        yield _Job(target, ALL, rest)
        if len(rest) > _LEAST_DONORS:
            for left in rest:
                fewer = tuple(gpu for gpu in rest if gpu != left)
                yield _Job(target, f"without {left}", fewer)
        for added in candidates:
            yield _Job(target, f"with {added}", (*rest, added))


def _score_target(setting: _Setting, job: _Job) -> list[dict[str, Any]]:
    """Score one target from one set of donors."""
    # Samplers: not for those who only predict.
    from bayeslat.inference.fitting.fit import fit_posterior

    spec, frame, table, seed = setting.spec, setting.frame, setting.table, setting.seed
    data = fit_posterior(
        spec, frame, gpus=job.donors, hardware=table, engine=setting.engine, seed=seed
    )
    gpu = table.resolve(job.target)
    rows = []
    for split in range(setting.splits):
        held = above_hurdles(spec, _hold_out(setting, job.target, split))
        for count in setting.counts:
            pool = held.pool[:count]
            calibrated = calibrate_stacks(data, pool, gpu, seed=seed) if count else data
            prediction = predict(calibrated, held.test, gpu, seed=seed)
            about = {
                "target": job.target,
                "change": job.change,
                "donors": ",".join(job.donors),
                "rows": count,
                "split": split,
            }
            scores = score_estimate(as_estimate(prediction, if_it_takes_time=True), held)
            rows += [{**about, **{name: each[name] for name in _SCORES}} for each in scores]
    return rows
