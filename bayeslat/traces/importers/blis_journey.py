"""Journey and step traces of BLIS's vLLM (inference-sim/vllm): OTLP JSON, usually `traces.json`.

Scope `vllm.scheduler`: a span `llm_core` a request, with the events of its way through the
scheduler (`ts.monotonic`, s). Scope `vllm.api`: a span `llm_request` a request, whose name the
core's continues. Scope `vllm.scheduler.step`: events `step.BATCH_SUMMARY`, one a sampled step.

A request is a row, with the state of the engine in the last step that was sampled before it was
queued; a step is a row. What a step reads of the KV cache follows from the journeys of all requests
in it (`reconstruct_steps`), where these tell the same number of decoding requests as the step.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bayeslat.traces.formats.content import refuse
from bayeslat.traces.importers.column_log import ColumnLog
from bayeslat.traces.importers.importer import Batch, Importer, Tally
from bayeslat.traces.importers.journey import Journey, JourneyEvent
from bayeslat.traces.importers.otlp import Event, Scalar, Span, read_spans, values_of
from bayeslat.traces.importers.reconstruct import IntervalLog, reconstruct_steps
from bayeslat.traces.importers.vocabulary import columns_named

__all__ = ["IMPORTER"]

type Numbers = NDArray[np.float64]

_BATCH_ROWS = 1 << 16
# A state that is older than so many steps says little of what a request met.
_STALE_STEPS = 16

_STATE = {
    "running": "queue.running_depth",
    "waiting": "queue.waiting_depth",
    "kv_usage": "kv.usage_gpu_ratio",
}
_STEP = {
    "step_id": "step.id",
    **_STATE,
    "prefill_requests": "batch.num_prefill_reqs",
    "prefill_tokens": "batch.prefill_tokens",
    "decode_requests": "batch.num_decode_reqs",
    "decode_tokens": "batch.decode_tokens",
}
_REQUEST = (
    "t_admission_ms",
    "t_queueing_ms",
    "t_prefill_ms",
    "t_decode_ms",
    "t_departure_ms",
    "t_ttft_ms",
    "t_tpot_ms",
    "t_e2e_ms",
    "prompt_tokens",
    "cached_tokens",
    "output_tokens",
    "preemptions",
)


@dataclass(slots=True)
class _Gathered:
    """What a file holds, as far as it was read."""

    requests: ColumnLog = field(
        default_factory=lambda: ColumnLog((*_REQUEST, "_queued_s", "_finished_s", "_step"))
    )
    names: list[str] = field(default_factory=list)
    refused: list[str | None] = field(default_factory=list)
    steps: ColumnLog = field(default_factory=lambda: ColumnLog(("t_step_ms", *_STEP)))
    intervals: IntervalLog = field(default_factory=IntervalLog)
    partial: dict[str, list[JourneyEvent]] = field(default_factory=dict)
    waiting: dict[str, list[int]] = field(default_factory=dict)
    api: dict[str, tuple[float, float]] = field(default_factory=dict)


def _read(path: Path, tally: Tally) -> Iterator[Batch]:
    found = _Gathered()
    for scope, spans in read_spans(path, tally):
        for span in spans:
            if span.name == "llm_core" and scope == "vllm.scheduler":
                _add_core(found, span, path)
            elif span.name == "llm_request" and scope == "vllm.api":
                _add_api(found, span)
            elif scope == "vllm.scheduler.step":
                _add_steps(found, span, path, tally)
            else:
                tally.refuse(f"span of another kind ({scope}, {span.name})")
    if not found.names and not found.partial and not found.steps.n_rows:
        raise refuse(
            path,
            "holds no journey or step of BLIS's vLLM; record it with --enable-journey-tracing or "
            "--step-tracing-enabled, or import spans of vLLM itself as vllm_otel",
        )
    tally.refuse("request whose journey is not whole", len(found.partial))
    yield from _request_batches(found)
    yield from _step_batches(found, tally)


def _add_core(found: _Gathered, span: Span, path: Path) -> None:
    """Take up the events of a request; spans of one request may come apart."""
    name = values_of(span.attributes).get("gen_ai.request.id")
    if not isinstance(name, str):
        name = f"unnamed {len(found.names) + len(found.partial)}"
    events = found.partial.pop(name, []) + [
        each for event in span.events if (each := _journey_event(event, path)) is not None
    ]
    journey = Journey(name, events)
    if not journey.is_whole:
        found.partial[name] = events
        return
    found.intervals.add(journey)
    position = found.requests.add(_request_row(journey))
    found.names.append(name)
    last = journey.in_order()[-1]
    wrong = last.status in ("aborted", "error", "abort")
    found.refused.append(f"request {last.status}" if wrong else None)
    api = name.rsplit("-0-", 1)[0]
    if api in found.api:
        _join(found, position, *found.api[api])
    else:
        found.waiting.setdefault(api, []).append(position)


def _journey_event(event: Event, path: Path) -> JourneyEvent | None:
    """Return an event of a journey, None for another one."""
    if not event.name.startswith("journey."):
        return None
    values = values_of(event.attributes)
    seconds, nanoseconds = values.get("ts.monotonic"), values.get("ts.monotonic_ns")
    if not isinstance(seconds, int | float):
        return None
    if isinstance(nanoseconds, int | float) and abs(1e9 * seconds - nanoseconds) > 1e6:
        raise refuse(
            path,
            f"its 'ts.monotonic' are no seconds: {seconds:g} stands beside {nanoseconds:g} ns; "
            "name the file as the collector wrote it",
        )
    return JourneyEvent(
        name=event.name.removeprefix("journey."),
        step=_count(values, "scheduler.step"),
        at_s=float(seconds),
        prefill_done=_count(values, "prefill.done_tokens"),
        prefill_total=_count(values, "prefill.total_tokens"),
        decode_done=_count(values, "decode.done_tokens"),
        resumes=values.get("schedule.kind") == "RESUME",
        status=str(values.get("finish.status", "")),
    )


def _count(values: dict[str, Scalar], key: str) -> int:
    """Return a whole number, 0 where there is none."""
    value = values.get(key, 0)
    if isinstance(value, int):
        return value
    return int(value) if isinstance(value, float) and math.isfinite(value) else 0


def _request_row(journey: Journey) -> dict[str, float]:
    """Return the cells of a request."""
    times = journey.times()
    events = journey.in_order()
    first = {event.name: event for event in reversed(events)}
    output = events[-1].decode_done
    row: dict[str, float] = {
        "t_queueing_ms": 1e3 * times.queueing_s,
        "t_prefill_ms": 1e3 * times.prefill_s,
        "t_decode_ms": 1e3 * times.decode_s,
        "t_ttft_ms": 1e3 * times.first_token_s,
        "t_e2e_ms": 1e3 * times.end_to_end_s,
        "prompt_tokens": first["SCHEDULED"].prefill_total,
        "cached_tokens": first["SCHEDULED"].prefill_done,
        "output_tokens": output,
        "preemptions": times.preemptions,
        "_queued_s": first["QUEUED"].at_s,
        "_finished_s": first["FINISHED"].at_s,
        "_step": first["QUEUED"].step,
    }
    if output > 1:
        row["t_tpot_ms"] = 1e3 * times.decode_s / (output - 1)
    return row


def _add_api(found: _Gathered, span: Span) -> None:
    """Take up when a request came to the server and left it."""
    name = values_of(span.attributes).get("gen_ai.request.id")
    at = {
        event.name: values_of(event.attributes).get("event.ts.monotonic") for event in span.events
    }
    arrived, departed = (at.get(f"api.{kind}") for kind in ("ARRIVED", "DEPARTED"))
    if not isinstance(name, str) or not isinstance(arrived, int | float):
        return
    left = float(departed) if isinstance(departed, int | float) else np.nan
    positions = found.waiting.pop(name, [])
    for position in positions:
        _join(found, position, float(arrived), left)
    if not positions:
        found.api[name] = (float(arrived), left)


def _join(found: _Gathered, position: int, arrived_s: float, departed_s: float) -> None:
    """Put in what the front end took before and after the engine."""
    requests = found.requests
    queued, finished = requests.get(position, "_queued_s"), requests.get(position, "_finished_s")
    requests.set(position, "t_admission_ms", 1e3 * (queued - arrived_s))
    requests.set(position, "t_departure_ms", 1e3 * (departed_s - finished))


def _add_steps(found: _Gathered, span: Span, path: Path, tally: Tally) -> None:
    """Take up the steps that were sampled."""
    for event in span.events:
        if event.name != "step.BATCH_SUMMARY":
            tally.refuse(f"event of another kind ({event.name})")
            continue
        values = values_of(event.attributes)
        row = {
            name: float(value)
            for name, key in _STEP.items()
            if isinstance(value := values.get(key), int | float)
        }
        row["t_step_ms"] = _duration_ms(values, path)
        found.steps.add(row)


def _duration_ms(values: dict[str, Scalar], path: Path) -> float:
    """Return how long a step took, NaN where nobody knows."""
    duration, start, end = (
        values.get(key) for key in ("step.duration_us", "step.ts_start_ns", "step.ts_end_ns")
    )
    if not isinstance(duration, int | float):
        return np.nan
    if not (isinstance(start, int | float) and isinstance(end, int | float)):
        return 1e-3 * duration
    if abs(1e3 * duration - (end - start)) > 1e5 + 0.5 * (end - start):
        raise refuse(
            path,
            f"its 'step.duration_us' are no µs: {duration:g} stands beside a start and an end "
            f"that are {end - start:g} ns apart; name the file as the collector wrote it",
        )
    return 1e-3 * duration


def _request_batches(found: _Gathered) -> Iterator[Batch]:
    """Give the requests, with the state that they met."""
    state = _state_met(found.requests["_step"], found.steps)
    start, end = found.requests["_queued_s"], found.requests["_finished_s"]
    for rows, cells in found.requests.slices(_BATCH_ROWS):
        columns = {name: cells[name] for name in _REQUEST}
        yield Batch(
            n_rows=rows.stop - rows.start,
            columns={
                **columns,
                **{name: values[rows] for name, values in state.items()},
                "observed_by": "engine",
                "request_id": found.names[rows],
            },
            start_s=start[rows],
            end_s=end[rows],
            refused=found.refused[rows],
        )


def _state_met(queued_step: Numbers, steps: ColumnLog) -> dict[str, Numbers]:
    """Return the engine's state in the last sampled step before each request was queued."""
    if not steps.n_rows or not len(queued_step):
        return {}
    order = np.argsort(steps["step_id"], kind="stable")
    sampled = steps["step_id"][order]
    # The step in which a request is queued may begin after it came: the one before has ended.
    place = np.searchsorted(sampled, queued_step, side="left") - 1
    known = (place >= 0) & (queued_step - sampled[place] <= _STALE_STEPS)
    return {name: np.where(known, steps[name][order][place], np.nan) for name in _STATE}


def _step_batches(found: _Gathered, tally: Tally) -> Iterator[Batch]:
    """Give the steps, with what they read where the journeys tell it."""
    if not found.steps.n_rows:
        return
    read = _context(found, tally)
    for rows, cells in found.steps.slices(_BATCH_ROWS):
        yield Batch(
            n_rows=rows.stop - rows.start,
            columns={**cells, "kv_read_tokens": read[rows], "observed_by": "engine"},
        )


def _context(found: _Gathered, tally: Tally) -> Numbers:
    """Return the tokens that the decoding requests of each step hold, NaN where nobody knows."""
    budget = tally.given.get("max_num_batched_tokens")
    batches = reconstruct_steps(found.intervals, int(budget) if budget is not None else None)
    step, decoding = found.steps["step_id"], found.steps["decode_requests"]
    if not len(batches.step):
        return np.full(found.steps.n_rows, np.nan)
    place = np.minimum(np.searchsorted(batches.step, step), len(batches.step) - 1)
    alike = (batches.step[place] == step) & (batches.decode_requests[place] == decoding)
    alike |= decoding == 0
    differ = int(np.sum(~alike))
    if differ:
        tally.note(
            f"{differ} of {len(step)} steps have other decoding requests than the journeys tell; "
            "their kv_read_tokens are left empty"
        )
    return np.where(alike, np.where(decoding == 0, 0, batches.context_tokens[place]), np.nan)


IMPORTER = Importer(
    name="blis_journey",
    title="journey and step traces of BLIS's vLLM (inference-sim/vllm), traces.json",
    patterns=("*traces*.json", "*traces*.jsonl"),
    columns=columns_named(
        "request_id", "observed_by", *_REQUEST, "t_step_ms", *_STEP, "kv_read_tokens"
    ),
    definitions={
        "t_admission_ms": "from the request's arrival at the server to the engine's queue",
        "t_queueing_ms": "engine: from QUEUED to the first SCHEDULED",
        "t_prefill_ms": "engine: from the first SCHEDULED to FIRST_TOKEN, without preemptions",
        "t_decode_ms": "engine: from FIRST_TOKEN to FINISHED, without preemptions",
        "t_departure_ms": "from FINISHED to the departure of the response",
        "t_ttft_ms": "engine: from QUEUED to FIRST_TOKEN",
        "t_tpot_ms": "engine: t_decode_ms by output tokens - 1",
        "t_e2e_ms": "engine: from QUEUED to FINISHED",
        "t_step_ms": "engine: one iteration of the scheduler, step.duration_us",
    },
    read=_read,
)
