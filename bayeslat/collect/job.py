"""A collection from start to end: what to measure, on what, and the trace that it fills."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bayeslat.collect.collection import Row, collect
from bayeslat.collect.knobs import Knobs, knob_problems
from bayeslat.collect.limits import VlmLimits
from bayeslat.collect.machine import using_threads
from bayeslat.collect.memory import limited_to_free_memory
from bayeslat.collect.origin import describe_origin
from bayeslat.collect.schedule import Visit, reference_of, schedule
from bayeslat.collect.telemetry import Telemetry
from bayeslat.collect.trace_file import TraceFile
from bayeslat.collect.vlm import Source, Vlm, load_vlm
from bayeslat.errors import InputError

__all__ = ["Job", "Prepared", "check_design", "measure_all", "prepare"]

_SHOWN = 20


@dataclass(frozen=True)
class Job:
    """What a collection is asked to do.

    Attributes
    ----------
    source : Source
        The model.
    gpu : str
        Key of the device in the hardware table.
    design : tuple of Knobs, dim (config,)
    device : str
        Torch device.
    threads : int or None
        Threads that torch computes with, on a CPU.
    repeats : int
        Measurements of each configuration.
    reference_every : int
        Others between two measurements of the reference.
    seed : int
        Seed of random weights, inputs and order.
    """

    source: Source
    gpu: str
    design: tuple[Knobs, ...]
    device: str = "cpu"
    threads: int | None = None
    repeats: int = 3
    reference_every: int = 20
    seed: int = 0


@dataclass(frozen=True)
class Prepared:
    """A job whose trace is open.

    Attributes
    ----------
    job : Job
    trace : TraceFile
        With the rows of earlier runs.
    configs : mapping of config_id to Knobs
    visits : tuple of Visit
        The measurements that are left.
    """

    job: Job
    trace: TraceFile
    configs: Mapping[int, Knobs]
    visits: tuple[Visit, ...]


def check_design(design: Sequence[Knobs], limits: VlmLimits) -> None:
    """Refuse a design with configurations that the model cannot run as asked.

    Raises
    ------
    InputError
        With every impossible value of every configuration, up to twenty.
    """
    problems = [
        f"config {number}: {problem}"
        for number, knobs in enumerate(design)
        for problem in knob_problems(knobs, limits)
    ]
    if problems:
        more = len(problems) - _SHOWN
        rest = [f"and {more} more"] if more > 0 else []
        listed = "\n  ".join([*problems[:_SHOWN], *rest])
        raise InputError(f"impossible configurations; set other ranges with --knob:\n  {listed}")


def prepare(job: Job, path: Path, telemetry: Telemetry) -> Prepared:
    """Open a job's trace, and find what is left to measure.

    Parameters
    ----------
    job : Job
        Its design passed `check_design`.
    path : Path
        The trace: added to if it exists.
    telemetry : Telemetry
        Of the device.

    Raises
    ------
    InputError
        If the trace is of another device, model or software.
    """
    asked = {
        "configs": len(job.design),
        "repeats": job.repeats,
        "seed": job.seed,
        "telemetry_problem": telemetry.problem,
    }
    device = {**telemetry.identity(), **_use(job)}
    origin = describe_origin(job.source, device, seed=job.seed, run=asked)
    trace = TraceFile(path, job.gpu, origin)
    reference = trace.reference or reference_of(job.design)
    config_ids = trace.config_ids(job.design)
    (reference_id,) = trace.config_ids([reference])
    visits = schedule(
        config_ids,
        job.repeats,
        job.seed,
        reference=reference_id,
        every=job.reference_every,
        done=trace.done(job.repeats),
    )
    configs = {**dict(zip(config_ids, job.design, strict=True)), reference_id: reference}
    return Prepared(job, trace, configs, visits)


def measure_all(
    prepared: Prepared, telemetry: Telemetry, deadline: float | None = None
) -> Iterator[Row]:
    """Measure what is left; each row is on disk before the next is measured.

    Parameters
    ----------
    prepared : Prepared
    telemetry : Telemetry
        Of the device.
    deadline : float, optional
        When to start no further measurement, as `time.monotonic` tells it.

    Yields
    ------
    dict
        A row of the trace.

    Raises
    ------
    InputError
        If the model cannot be loaded, or the machine lacks the threads.
    """
    job = prepared.job
    with ExitStack() as limits:
        if job.threads is not None:
            limits.enter_context(using_threads(job.threads))
            limits.enter_context(limited_to_free_memory())
        visits = _in_time(prepared.visits, deadline)
        rows = collect(_loader(job), prepared.configs, visits, telemetry, job.seed)
        for row in rows:
            prepared.trace.append(row, job.repeats)
            yield row


def _in_time(visits: Sequence[Visit], deadline: float | None) -> Iterator[Visit]:
    for visit in visits:
        if deadline is not None and time.monotonic() >= deadline:
            return
        yield visit


def _loader(job: Job) -> Callable[[str], Vlm]:
    return lambda dtype: load_vlm(job.source, dtype, job.device, job.seed)


def _use(job: Job) -> dict[str, Any]:
    """Return how the device is used: a CPU is another one by its threads and dtype."""
    kind = job.device.partition(":")[0]
    if job.threads is None:
        return {"device": kind}
    dtypes = sorted({knobs.dtype for knobs in job.design})
    return {"device": kind, "threads": job.threads, "dtype": ",".join(dtypes)}
