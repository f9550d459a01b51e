"""Running every method with several numbers of rows, in parallel, and going on where it stopped."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd

from bayeslat.decisions.prediction import TOTAL
from bayeslat.errors import InputError
from bayeslat.evaluation.baselines import Donors
from bayeslat.evaluation.comparison.hierarchical import HIERARCHICAL, check_methods, find_method
from bayeslat.evaluation.comparison.parts import Parts
from bayeslat.evaluation.comparison.scoring import scatter_estimate, score_estimate
from bayeslat.evaluation.holdout import (
    Holdout,
    above_hurdles,
    hold_out,
    tell_beyond,
    tell_left,
    without_configs,
)
from bayeslat.features.admit import admit
from bayeslat.features.hardware import HardwareTable, load_hardware
from bayeslat.features.spec import Spec
from bayeslat.parallel import check_workers, run
from bayeslat.traces.names import STACK

__all__ = ["CompareOptions", "Comparison", "compare"]


@dataclass(frozen=True)
class CompareOptions:
    """What is compared.

    Attributes
    ----------
    target : str
        Key of the GPU to carry over to.
    donors : tuple of str
        Keys.
    source : str
        Key of the donor that methods with a single source carry over.
    methods : tuple of str
    counts : tuple of int
        Calibration rows.
    repetitions : int
        Random choices of calibration and test configurations.
    test_configs : int
        At most half of the target's configurations.
    engine : {"laplace", "nuts"}
    seed : int
    """

    target: str
    donors: tuple[str, ...]
    source: str
    methods: tuple[str, ...]
    counts: tuple[int, ...] = (0, 5, 10, 25, 50, 100)
    repetitions: int = 5
    test_configs: int = 100
    engine: str = "laplace"
    seed: int = 0


@dataclass(frozen=True)
class Comparison:
    """Scores of all methods.

    Attributes
    ----------
    options : CompareOptions
    scores : DataFrame, one row a method, number of rows, repetition and stage
        `method`, `rows`, `repetition`, the scores of `score_estimate`, and `cost_s`, the GPU
        seconds that measuring the rows once takes.
    scatter : DataFrame, one row a test configuration and stage
        Of the hierarchical model in the first repetition, with the number of rows nearest to 25:
        `stage`, `rows`, `point_ms`, `q05_ms`, `q95_ms` and `measured_ms`.
    skipped : tuple of str
        What could not be run, in some repetition at least, and why: numbers of rows that the target
        has too few configurations for, and what methods refused.
    """

    options: CompareOptions
    scores: pd.DataFrame
    scatter: pd.DataFrame
    skipped: tuple[str, ...]

    @property
    def headline(self) -> tuple[str, ...]:
        """What methods are judged by: the total, or each stage where the total is not measured."""
        stages = tuple(dict.fromkeys(self.scores["stage"]))
        return (TOTAL,) if TOTAL in stages else stages


def compare(
    spec: Spec,
    traces: pd.DataFrame,
    options: CompareOptions,
    *,
    hardware: HardwareTable | None = None,
    folder: Path | None = None,
    jobs: int = 1,
    engine_address: str | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Comparison:
    """Calibrate every method with several numbers of rows, and score held-out configurations.

    In each repetition, test configurations of the target are drawn uniformly, no donor's row of one
    of them is used, and the first n of the others, in random order, calibrate.

    Parameters
    ----------
    spec : Spec
    traces : DataFrame, one row a measurement
        Of the donors and the target.
    options : CompareOptions
    hardware : HardwareTable, optional
    folder : Path, optional
        Where finished parts are kept: a run that was interrupted goes on there. A part is a method
        in a repetition; on a cluster, whose workers may not see the folder, all of a repetition.
    jobs, engine_address
        Where repetitions run, as for `bayeslat.parallel.run`; scores do not depend on it.
    on_progress : callable (done, total), optional

    Returns
    -------
    Comparison

    Raises
    ------
    TraceError
        With every row that breaks a rule.
    InputError
        With every option that does not fit the traces; or if each number of rows is more than the
        target has configurations to calibrate with.
    WorkerError
        As for `bayeslat.parallel.run`.
    """
    check_workers(jobs, engine_address)
    table = hardware or load_hardware()
    frame = admit(traces, spec, table)
    _check(options, frame)
    check_methods(options.methods, spec)
    beyond = _tell_beyond(spec, frame, table, options)
    parts = Parts(folder / _fingerprint(spec, frame, options) if folder else None)
    tasks = [(each, parts.missing(options.methods, each)) for each in range(options.repetitions)]
    here = engine_address is None
    setting = _Setting(spec, frame, table, options, parts if here else Parts(None))
    ran = run(
        _run_repetition,
        tasks,
        setting,
        jobs=jobs,
        engine_address=engine_address,
        on_progress=on_progress,
    )
    found: list[dict[str, Any]] = []
    for (repetition, missing), new in zip(tasks, ran, strict=True):
        for method in options.methods:
            if method not in missing:
                found.append(parts.read(method, repetition))
                continue
            found.append(new[method])
            if not here:
                parts.write(method, repetition, new[method])
    scores, scatter, skipped = (
        [row for part in found for row in part[name]] for name in ("scores", "scatter", "skipped")
    )
    told = (*beyond, *_tell_skipped(skipped))
    return Comparison(options, pd.DataFrame(scores), pd.DataFrame(scatter), told)


def _tell_beyond(
    spec: Spec, frame: pd.DataFrame, table: HardwareTable, options: CompareOptions
) -> tuple[str, ...]:
    """Tell which numbers of rows the target has too few configurations for; refuse if all are."""
    gpu, own = table.resolve(options.target), frame[frame["gpu"] == options.target]
    left = len(hold_out(spec, own, gpu, options.test_configs, options.seed).pool)
    if min(options.counts) > left:
        named = ", ".join(map(str, options.counts))
        has = tell_left(gpu.key, left)
        raise InputError(f"counts are {named}, but {has}; ask for fewer, or add traces")
    told = tell_beyond(options.counts, left, gpu.key)
    return (f"every method {told}",) if told else ()


def _tell_skipped(skipped: list[dict[str, Any]]) -> tuple[str, ...]:
    """Tell what was not run of each method, with the first reason."""
    told = []
    for method in dict.fromkeys(each["method"] for each in skipped):
        of_method = [each for each in skipped if each["method"] == method]
        counts = sorted({each["rows"] for each in of_method if each["rows"] is not None})
        rows = f" with {', '.join(map(str, counts))} rows" if counts else ""
        why = of_method[0]["why"].removeprefix(f"{method}: ")
        told.append(f"{method}{rows}: {why}")
    return tuple(told)


def _check(options: CompareOptions, frame: pd.DataFrame) -> None:
    measured = sorted(frame["gpu"].unique())
    problems = []
    wanted = (options.target, *options.donors)
    if missing := [gpu for gpu in dict.fromkeys(wanted) if gpu not in measured]:
        problems.append(
            f"no rows of GPU {', '.join(missing)}; the traces hold {', '.join(measured)}"
        )
    if options.target in options.donors:
        problems.append(f"the target {options.target} is among the donors; take it out")
    if not options.donors:
        problems.append("no donor is left; add traces of another GPU")
    elif options.source not in options.donors:
        problems.append(
            f"the source {options.source} is no donor; name one of {', '.join(options.donors)}"
        )
    if not options.counts or min(options.counts) < 0:
        problems.append(f"counts are {list(options.counts)}; give numbers of rows, 0 or more")
    sizes = {"repetitions": options.repetitions, "test_configs": options.test_configs}
    problems += [f"{name} is {n}; it must be at least 1" for name, n in sizes.items() if n < 1]
    if problems:
        raise InputError("; ".join(problems))


def _fingerprint(spec: Spec, frame: pd.DataFrame, options: CompareOptions) -> str:
    """Name what a part depends on, but for its method and the number of repetitions."""
    columns = spec.latency_columns
    used = [name for name in ("gpu", STACK, "task", *spec.knobs, *columns) if name in frame]
    text = {name: str for name in ("gpu", STACK) if name in used}
    hashed = pd.util.hash_pandas_object(frame[used].astype(text), index=False)
    chosen = {
        key: value
        for key, value in asdict(options).items()
        if key not in ("methods", "repetitions")
    }
    about = json.dumps([spec.hash, chosen, version("bayeslat")], sort_keys=True)
    return hashlib.sha256(hashed.to_numpy().tobytes() + about.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class _Setting:
    """What all repetitions share."""

    spec: Spec
    frame: pd.DataFrame
    table: HardwareTable
    options: CompareOptions
    parts: Parts  # where a worker keeps what it finished


def _run_repetition(
    setting: _Setting, task: tuple[int, tuple[str, ...]]
) -> dict[str, dict[str, Any]]:
    """Run methods in one repetition.

    All are trained on the same donors, which keep the source models that several carry over.
    """
    (repetition, methods), spec, options = task, setting.spec, setting.options
    if not methods:
        return {}
    gpu = setting.table.resolve(options.target)
    own = setting.frame[setting.frame["gpu"] == options.target]
    seed = [options.seed, repetition]
    held = above_hurdles(spec, hold_out(spec, own, gpu, options.test_configs, seed, keep=[STACK]))
    tested = held.test.drop(columns=STACK, errors="ignore")  # donors may not know it of any stack
    rows = setting.frame[setting.frame["gpu"].isin(options.donors)]
    rows = without_configs(rows, tested)
    donors = Donors(spec, rows, options.source, setting.table, options.seed + repetition)
    found = {}
    for method in methods:
        found[method] = _run(donors, held, options, method, repetition)
        setting.parts.write(method, repetition, found[method])
    return found


def _run(
    donors: Donors, held: Holdout, options: CompareOptions, method: str, repetition: int
) -> dict[str, Any]:
    """Train one method, calibrate it with each number of rows, and score it."""
    chosen = find_method(method, options.engine)
    part: dict[str, Any] = {"scores": [], "scatter": [], "skipped": []}
    try:
        trained = chosen.train(donors)
    except InputError as error:
        part["skipped"].append({"method": method, "rows": None, "why": str(error)})
        return part
    counts = [count for count in options.counts if count <= len(held.pool)]
    shown = min(counts, key=lambda count: abs(count - 25))
    for count in counts:
        if count < chosen.least_rows:
            continue
        try:
            estimate = trained.calibrate(held.pool[:count], held.gpu).predict(held.test)
        except InputError as error:  # a stage is in too few of the rows
            part["skipped"].append({"method": method, "rows": count, "why": str(error)})
            continue
        about = {
            "method": method,
            "rows": count,
            "repetition": repetition,
            "cost_s": float(held.pool_ms[:count].sum() / 1000.0),
        }
        part["scores"] += [{**about, **row} for row in score_estimate(estimate, held)]
        if method == HIERARCHICAL and repetition == 0 and count == shown:
            scatter = scatter_estimate(estimate, held.run_ms).drop(columns="pit")
            part["scatter"] = scatter.assign(rows=count).to_dict("records")
    return part
