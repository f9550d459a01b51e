"""Journey and step traces of BLIS's vLLM (inference-sim/vllm): OTLP JSON, usually `traces.json`.

Scope `vllm.scheduler`: a span `llm_core` a request, with the events of its way through the
scheduler (`ts.monotonic`, s). Scope `vllm.api`: a span `llm_request` a request, whose name the
core's continues. Scope `vllm.scheduler.step`: events `step.BATCH_SUMMARY`, one a sampled step.

A request is a row, with the state of the engine in the last step that was sampled before it was
queued; a step is a row. What the requests of a step attend to follows from the journeys of all
requests in it (`find_journey_contexts`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import compress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bayeslat.counted import counted
from bayeslat.traces.formats.content import refuse
from bayeslat.traces.importers.column_log import ColumnLog
from bayeslat.traces.importers.importer import Batch, Importer, Tally
from bayeslat.traces.importers.journey import Intervals, Journeys
from bayeslat.traces.importers.journey_contexts import find_journey_contexts
from bayeslat.traces.importers.journey_spans import JourneyParts
from bayeslat.traces.importers.otlp import read_spans
from bayeslat.traces.importers.queue import find_queue
from bayeslat.traces.importers.reconstruct import reconstruct_steps
from bayeslat.traces.importers.span_columns import Attributes, Spans
from bayeslat.traces.importers.vocabulary import columns_named

__all__ = ["IMPORTER"]

type Numbers = NDArray[np.float64]

_BATCH_ROWS = 1 << 16
# A state that is older than so many steps says little of what a request met.
_STALE_STEPS = 16

_FAILED = ("aborted", "error", "abort")

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
    intervals: list[Intervals] = field(default_factory=list)
    journeys: JourneyParts = field(default_factory=JourneyParts)
    waiting: dict[str, list[int]] = field(default_factory=dict)
    api: dict[str, tuple[float, float]] = field(default_factory=dict)


def _read(path: Path, tally: Tally) -> Iterator[Batch]:
    found = _Gathered()
    for spans in read_spans(path, tally):
        cores, apis, steps = [], [], []
        for place, (scope, name) in enumerate(zip(spans.scope, spans.name, strict=True)):
            if name == "llm_core" and scope == "vllm.scheduler":
                cores.append(place)
            elif name == "llm_request" and scope == "vllm.api":
                apis.append(place)
            elif scope == "vllm.scheduler.step":
                steps.append(place)
            else:
                tally.refuse(f"span of another kind ({scope}, {name})")
        _add_cores(found, spans, cores, path)
        _add_apis(found, spans, apis)
        _add_steps(found, spans, steps, path, tally)
    if not found.names and not found.journeys.waiting and not found.steps.n_rows:
        raise refuse(
            path,
            "holds no journey or step of BLIS's vLLM; record it with --enable-journey-tracing or "
            "--step-tracing-enabled, or import spans of vLLM itself as vllm_otel",
        )
    tally.refuse("request whose journey is not whole", len(found.journeys.waiting))
    yield from _request_batches(found)
    yield from _step_batches(found, tally)


def _add_cores(found: _Gathered, spans: Spans, cores: list[int], path: Path) -> None:
    """Take up requests that are whole."""
    names, journeys = found.journeys.add(spans, cores, path)
    if not names:
        return
    begin = found.requests.n_rows
    found.requests.extend(_request_columns(journeys), len(names))
    found.names += names
    for status in found.journeys.statuses(journeys):
        found.refused.append(f"request {status}" if status in _FAILED else None)
    found.intervals.append(journeys.intervals())
    joined: dict[int, tuple[float, float]] = {}
    for place, name in enumerate(names, begin):
        api = name.rsplit("-0-", 1)[0]
        if api in found.api:
            joined[place] = found.api[api]
        else:
            found.waiting.setdefault(api, []).append(place)
    _join(found, joined)


def _request_columns(journeys: Journeys) -> dict[str, Numbers]:
    """Return the cells of requests."""
    times = journeys.times()
    queued, scheduled, finished = (
        journeys.first(event) for event in ("QUEUED", "SCHEDULED", "FINISHED")
    )
    output = journeys["decode_done"][journeys.last]
    with np.errstate(divide="ignore", invalid="ignore"):
        per_token = np.where(output > 1, 1e3 * times.decode_s / (output - 1), np.nan)
    return {
        "t_queueing_ms": 1e3 * times.queueing_s,
        "t_prefill_ms": 1e3 * times.prefill_s,
        "t_decode_ms": 1e3 * times.decode_s,
        "t_ttft_ms": 1e3 * times.first_token_s,
        "t_e2e_ms": 1e3 * times.end_to_end_s,
        "t_tpot_ms": per_token,
        "prompt_tokens": journeys["prefill_total"][scheduled],
        "cached_tokens": journeys["prefill_done"][scheduled],
        "output_tokens": output,
        "preemptions": times.preemptions.astype(np.float64),
        "_queued_s": journeys["at_s"][queued],
        "_finished_s": journeys["at_s"][finished],
        "_step": journeys["step"][queued],
    }


def _add_apis(found: _Gathered, spans: Spans, apis: list[int]) -> None:
    """Take up when requests came to the server and left it."""
    if not apis:
        return
    names, events = spans.attributes.texts("gen_ai.request.id"), spans.events
    at_s = events.attributes.numbers("event.ts.monotonic")
    times = np.full((2, len(spans.name)), np.nan)
    for row, name in enumerate(("api.ARRIVED", "api.DEPARTED")):
        there = np.array([each == name for each in events.name], dtype=bool)
        times[row, events.span[there]] = at_s[there]
    arrived, left = times.tolist()
    joined: dict[int, tuple[float, float]] = {}
    for span in apis:
        api = names[span]
        if api is None or math.isnan(arrived[span]):
            continue
        places = found.waiting.pop(api, [])
        joined |= dict.fromkeys(places, (arrived[span], left[span]))
        if not places:
            found.api[api] = (arrived[span], left[span])
    _join(found, joined)


def _join(found: _Gathered, times: Mapping[int, tuple[float, float]]) -> None:
    """Put in what the front end took before and after the engine: arrival and departure, s."""
    places = list(times)
    arrived, left = np.array(list(times.values()), dtype=np.float64).reshape(-1, 2).T
    queued, finished = (found.requests.get(places, name) for name in ("_queued_s", "_finished_s"))
    found.requests.set(places, "t_admission_ms", 1e3 * (queued - arrived))
    found.requests.set(places, "t_departure_ms", 1e3 * (left - finished))


def _add_steps(found: _Gathered, spans: Spans, steps: list[int], path: Path, tally: Tally) -> None:
    """Take up the steps that were sampled."""
    events = spans.events
    of_steps = np.isin(events.span, steps)
    summary = np.array([name == "step.BATCH_SUMMARY" for name in events.name], dtype=bool)
    for name in compress(events.name, of_steps & ~summary):
        tally.refuse(f"event of another kind ({name})")
    used = of_steps & summary
    if used.any():
        numbers = events.attributes.numbers
        columns = {name: numbers(key)[used] for name, key in _STEP.items()}
        columns["t_step_ms"] = _duration_ms(events.attributes, used, path)
        found.steps.extend(columns, int(used.sum()))


def _duration_ms(attributes: Attributes, used: NDArray[np.bool_], path: Path) -> Numbers:
    """Return how long steps took, NaN where nobody knows."""
    duration, start, end = (
        attributes.numbers(key)[used]
        for key in ("step.duration_us", "step.ts_start_ns", "step.ts_end_ns")
    )
    with np.errstate(over="ignore", invalid="ignore"):
        took = end - start
        wrong = np.flatnonzero(np.abs(1e3 * duration - took) > 1e5 + 0.5 * took)
    if len(wrong):
        raise refuse(
            path,
            f"its 'step.duration_us' are no µs: {duration[wrong[0]]:g} stands beside a start and "
            f"an end that are {took[wrong[0]]:g} ns apart; name the file as the collector wrote it",
        )
    return 1e-3 * duration


def _request_batches(found: _Gathered) -> Iterator[Batch]:
    """Give the requests, with the state that they met."""
    state = _state_met(found.requests["_step"], found.steps)
    start, end = found.requests["_queued_s"], found.requests["_finished_s"]
    scheduled = start + 1e-3 * found.requests["t_queueing_ms"]
    _, tokens = find_queue(start, scheduled, found.requests["prompt_tokens"])
    state["waiting_prompt_tokens"] = tokens
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
    contexts = _contexts(found, tally)
    for rows, cells in found.steps.slices(_BATCH_ROWS):
        yield Batch(
            n_rows=rows.stop - rows.start,
            columns={
                **cells,
                **{name: values[rows] for name, values in contexts.items()},
                "observed_by": "engine",
            },
        )


def _contexts(found: _Gathered, tally: Tally) -> dict[str, Any]:
    """Return what the requests of each step attend to, estimated where the journeys differ."""
    budget = tally.given.get("max_num_batched_tokens")
    nothing = Intervals(*([np.empty(0, dtype=np.int64)] * len(Intervals._fields)))
    parts = zip(nothing, *found.intervals, strict=True)
    intervals = Intervals(*(np.concatenate(each) for each in parts))
    batches = reconstruct_steps(intervals, int(budget) if budget is not None else None)
    told = ("step_id", "prefill_requests", "prefill_tokens", "decode_requests")
    contexts = find_journey_contexts(batches, *(found.steps[name] for name in told))
    if not len(batches.step):
        tally.note(
            "no journey tells what the steps' requests attend to: decode_context_tokens is left "
            "empty where requests decode"
        )
    elif differ := int(np.isnan(contexts.kv_read_tokens).sum()):
        tally.note(
            f"{differ} of {counted(found.steps.n_rows, 'step')} have other decoding requests "
            "than the journeys tell; their kv_read_tokens are left empty, their contexts estimated"
        )
    return {
        "kv_read_tokens": contexts.kv_read_tokens,
        "decode_context_tokens": contexts.decode_context_tokens,
        "prefill_attended_tokens": contexts.prefill_attended_tokens,
        "contexts": np.where(contexts.is_exact, "exact", "estimated").tolist(),
    }


IMPORTER = Importer(
    name="blis_journey",
    title="journey and step traces of BLIS's vLLM (inference-sim/vllm), traces.json",
    patterns=("*traces*.json", "*traces*.jsonl"),
    columns=columns_named(
        "request_id",
        "observed_by",
        *_REQUEST,
        "t_step_ms",
        *_STEP,
        "waiting_prompt_tokens",
        "kv_read_tokens",
        *("prefill_attended_tokens", "decode_context_tokens", "contexts"),
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
