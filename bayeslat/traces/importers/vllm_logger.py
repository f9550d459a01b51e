"""Files of this package's vLLM logger: steps, and requests with the state that they met.

A row is a step of the engine (`t_step_ms`), or a request (`t_queueing_ms` and its other times).
Beside the batch of a step, and beside a request, stands the state that it met: what the step before
it left, or the last step before the engine took the request into its queue.

The engine takes requests in between two steps, and only then their queueing begins: the wait for
the running step, and the way through the server's front end, is `t_admission_ms`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bayeslat.traces.importers.batch_contexts import Contexts, Finished, Steps, find_contexts
from bayeslat.traces.importers.front_ends import find_met
from bayeslat.traces.importers.importer import Batch, Importer, Tally
from bayeslat.traces.importers.queue import find_queue, order_bursts
from bayeslat.traces.importers.server_columns import (
    SERVER_COLUMNS,
    server_columns,
    tell_of_model,
)
from bayeslat.traces.importers.step_times import step_times_ms, waits_for_its_steps
from bayeslat.traces.importers.vllm_log import Log, Rows, engine_series, read_log
from bayeslat.traces.importers.vocabulary import Column, columns_named

__all__ = ["IMPORTER"]

_OWN = (
    Column("step_interval_ms", "number", "from the end of the step before to the end of this one"),
    Column("arrivals_per_s", "number", "requests that arrived in the 10 s before, by second"),
    Column("encoder_inputs", "count", "images and the like that the step encoded"),
    *SERVER_COLUMNS,
)
_STATE = ("running", "waiting", "kv_usage")
_BATCH = (
    *("prefill_requests", "prefill_tokens", "decode_requests", "decode_tokens"),
    *("encoder_inputs", "encoder_tokens"),
)
_ARRIVAL_WINDOW_S = 10.0
_YEAR_3000_S = 32_503_680_000.0
_BATCH_ROWS = 1 << 15


def _read(path: Path, tally: Tally) -> Iterator[Batch]:
    """Read one file of the logger."""
    return _read_series((path,), tally)


def _read_series(files: Sequence[Path], tally: Tally) -> Iterator[Batch]:
    """Read the files of an engine, which go on from one another."""
    log = read_log(files, tally)
    times_ms, server = step_times_ms(log), server_columns(log)
    _tell(log, times_ms, tally)
    tell_of_model(log, server, tally)
    section = f"engine {log.server.get('engine', 0)}"
    contexts = find_contexts(_steps_of(log, server), _finished_of(log))
    if not contexts.is_exact.all():
        tally.note(
            f"the contexts of {(~contexts.is_exact).mean():.1%} of the steps are estimated from "
            f"the KV usage (column contexts): {_why_estimated(log)}"
        )
    columns = _context_columns(log, contexts, server)
    yield Batch(len(log.steps), {**server, **_step_columns(log, times_ms), **columns}, section)
    met = _met(log) | _met_contexts(log, columns)
    for first in range(0, max(len(log.requests), 1), _BATCH_ROWS):
        rows = slice(first, first + _BATCH_ROWS)
        requests = log.requests.part(rows)
        of_rows = {name: column[rows] for name, column in met.items()}
        yield Batch(
            len(requests),
            {**server, **_request_columns(requests, of_rows)},
            section,
            requests.numbers("arrived_at_s"),
            requests.numbers("at_s"),
        )


def _tell(log: Log, times_ms: NDArray[np.float64], tally: Tally) -> None:
    """Tell of the software, and where the engine's own time of a step is not that of its work."""
    software = log.told("software").items()
    tally.software.update({name: each for name, each in software if isinstance(each, str)})
    written_s = log.server.get("written_at_s")
    if tally.collected_at is None and isinstance(written_s, float) and 0 < written_s < _YEAR_3000_S:
        tally.collected_at = f"{datetime.fromtimestamp(written_s, UTC):%Y-%m-%dT%H:%M:%SZ}"
    if log.told("config").get("iteration_details") is False:
        tally.note(
            "this server runs without --enable-logging-iteration-details, so that no step has a "
            "time and no request knows the batch that it met: start it with it"
        )
    elif not waits_for_its_steps(log):
        untimed = np.isnan(times_ms).sum()
        tally.note(
            "this server does not wait for the model where it times its steps (asynchronous "
            "scheduling, or one process): t_step_ms is step_interval_ms, or of prompts alone the "
            f"time to their first tokens; neither is known of {untimed:,} of {len(log.steps):,} "
            "steps"
        )


def _why_estimated(log: Log) -> str:
    if log.told("config").get("speculative_tokens"):
        return "this server speculates, so that a step may make several tokens of a request"
    return "their batches held requests that never finished, or were interrupted"


def _steps_of(log: Log, server: Mapping[str, Any]) -> Steps:
    steps = log.steps
    prefill_tokens = steps.counts("prefill_tokens")
    budget = server.get("max_num_batched_tokens", 0)
    return Steps(
        step_id=steps.counts("iteration"),
        prefill_requests=steps.counts("prefill_requests"),
        prefill_tokens=prefill_tokens,
        decode_requests=steps.counts("decode_requests"),
        is_full=prefill_tokens + steps.counts("decode_tokens") >= budget,
    )


def _finished_of(log: Log) -> Finished:
    """Return the requests whose steps can be counted back."""
    requests, kept = log.requests, log.can_be_counted_back
    scheduled_s = requests.numbers("queued_at_s") + 1e-3 * requests.numbers("queueing_ms")
    return Finished(
        step_id=requests.counts("iteration")[kept],
        prompt_tokens=requests.counts("prompt_tokens")[kept],
        cached_tokens=requests.counts("cached_tokens")[kept],
        output_tokens=requests.counts("output_tokens")[kept],
        scheduled_s=scheduled_s[kept],
    )


def _step_columns(log: Log, times_ms: NDArray[np.float64]) -> dict[str, Any]:
    steps = log.steps
    columns: dict[str, Any] = {name: steps.counts(name) for name in _BATCH}
    columns |= {name: _before(log, name) for name in _STATE}
    return columns | {
        "step_id": steps.counts("iteration"),
        "observed_by": "engine",
        "t_step_ms": times_ms,
        "step_interval_ms": steps.numbers("gap_ms"),
    }


def _before(log: Log, name: str) -> NDArray[np.float64]:
    """Return the state that each step met: what the one before it left.

    Nothing at first; not known where the file before is not at hand.
    """
    left = log.steps.numbers(name)
    first = 0.0 if not log.server.get("file") else np.nan
    return np.concatenate([[first], left[:-1]]) if left.size else left


def _context_columns(log: Log, contexts: Contexts, server: Mapping[str, Any]) -> dict[str, Any]:
    """Return what each step read of the KV cache, estimated where the batch is not known.

    The usage counts whole blocks, of which the last of a request is half full, and what it counts
    in excess of the requests in decode belongs to those in prefill, whose past it is.
    """
    steps = log.steps
    block_tokens = server.get("kv_block_tokens", 0)
    usage, running = (np.nan_to_num(_before(log, name)) for name in ("kv_usage", "running"))
    held = usage * server.get("kv_blocks", 0) * block_tokens - 0.5 * block_tokens * running
    decode, prefill = steps.counts("decode_requests"), steps.counts("prefill_tokens")
    estimate = np.where(decode > 0, np.maximum(np.round(held), decode), 0).astype(np.int64)
    requests = np.maximum(steps.counts("prefill_requests"), 1)
    attended = np.round(prefill * (prefill / requests + 1) / 2).astype(np.int64)
    exact = contexts.is_exact
    decode_context = np.where(exact, contexts.decode_context_tokens, estimate)
    return {
        "decode_context_tokens": decode_context,
        "prefill_attended_tokens": np.where(exact, contexts.prefill_attended_tokens, attended),
        "kv_read_tokens": decode_context + contexts.prefill_past_tokens,
        "contexts": np.where(exact, "exact", "estimated").tolist(),
    }


def _request_columns(requests: Rows, met: Mapping[str, NDArray[np.float64]]) -> dict[str, Any]:
    """Return the columns of requests, given what they met that the engine does not tell."""
    times = ("queueing_ms", "prefill_ms", "decode_ms", "e2e_ms")
    counts = ("prompt_tokens", "cached_tokens", "output_tokens", "preemptions")
    columns: dict[str, Any] = {f"t_{name}": requests.numbers(name) for name in times}
    columns |= {name: requests.numbers(name) for name in counts}
    columns |= {name: requests.numbers(f"met_{name}") for name in (*_STATE, *_BATCH)}
    admission_s = requests.numbers("queued_at_s") - requests.numbers("arrived_at_s")
    return {
        **columns,
        **met,
        "request_id": requests.ids,
        "observed_by": "server",
        "waiting": np.fmax(columns["waiting"], met["waiting"]),
        "t_admission_ms": 1e3 * admission_s,
    }


def _met(log: Log) -> dict[str, NDArray[np.float64]]:
    """Return what each request met of the others, shape (row,)."""
    requests = log.requests
    queued_s, scheduled_s = order_bursts(
        requests.numbers("queued_at_s"),
        requests.numbers("arrived_at_s"),
        1e-3 * requests.numbers("queueing_ms"),
        _gaps(log),
    )
    ahead, tokens = find_queue(queued_s, scheduled_s, requests.numbers("prompt_tokens"))
    return {
        "waiting": ahead,
        "waiting_prompt_tokens": tokens,
        "arrivals_per_s": _arrivals_per_s(requests.numbers("arrived_at_s")),
    }


def _gaps(log: Log) -> NDArray[np.int64]:
    """Return between which two steps each request was queued. Shape (request,).

    That is the number of the one before; one of its own where the steps round it are not known, and
    where priorities and not the order of the queue say who is next.
    """
    ids = log.steps.counts("iteration")
    queued_s, alone = log.requests.numbers("queued_at_s"), -2 - np.arange(len(log.requests))
    at_s = log.steps.numbers("at_s")
    policy = log.told("config").get("scheduling_policy", "fcfs")
    if not ids.size or np.isnan(at_s).any() or policy != "fcfs":
        return alone
    before = find_met(queued_s, at_s, log.steps.numbers("elapsed_ms"))
    follows = np.diff(ids, prepend=-1, append=ids[-1] + 1) == 1
    return np.where(follows[before + 1], np.append(ids, -1)[before], alone)


def _arrivals_per_s(arrived_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the rate at which requests arrived in the seconds before each, itself included."""
    order = np.sort(arrived_s)
    since = np.searchsorted(order, arrived_s - _ARRIVAL_WINDOW_S, side="left")
    until = np.searchsorted(order, arrived_s, side="right")
    return (until - since) / _ARRIVAL_WINDOW_S


def _met_contexts(log: Log, columns: Mapping[str, Any]) -> dict[str, Any]:
    """Return the contexts of the step that each request met; NaN where that is not known."""
    ids, met = log.steps.counts("iteration"), log.requests.numbers("met_iteration")
    place = np.searchsorted(ids, met).clip(0, max(ids.size - 1, 0))
    known = np.isfinite(met) & (ids[place] == met) if ids.size else np.zeros(met.size, dtype=bool)
    names = ("decode_context_tokens", "prefill_attended_tokens", "kv_read_tokens")
    return {
        name: np.where(known, columns[name][place] if ids.size else 0, np.nan) for name in names
    }


IMPORTER = Importer(
    name="vllm_logger",
    title="the vLLM logger of bayeslat (BAYESLAT_LOG_DIR)",
    patterns=("vllm-*.jsonl",),
    columns=(
        *columns_named(
            *("stack", "model", "request_id", "step_id", "observed_by"),
            *(
                "t_admission_ms",
                "t_queueing_ms",
                "t_prefill_ms",
                "t_decode_ms",
                "t_e2e_ms",
                "t_step_ms",
            ),
            *("prompt_tokens", "cached_tokens", "output_tokens", "preemptions"),
            *_STATE,
            *("prefill_requests", "prefill_tokens", "decode_requests", "decode_tokens"),
            *("kv_read_tokens", "encoder_tokens", "waiting_prompt_tokens"),
            *("prefill_attended_tokens", "decode_context_tokens", "contexts"),
            *("tensor_parallel", "max_num_seqs", "max_num_batched_tokens"),
        ),
        *_OWN,
    ),
    definitions={
        "t_admission_ms": "from when the request arrived at the server, parsed, to when the engine "
        "took it into its queue, between two steps; server's clock and engine's",
        "t_queueing_ms": "from when the engine took the request into its queue, between two steps, "
        "to when it was first scheduled; engine's clock",
        "t_prefill_ms": "from when the request was first scheduled to its first token; engine's "
        "clock",
        "t_decode_ms": "from the request's first token to its last; engine's clock",
        "t_e2e_ms": "from when the request arrived at the server, parsed, to its last token; "
        "server's clock",
        "t_step_ms": "from when the model was asked for a step to when its outputs were there, "
        "without the scheduler's work; where the engine does not wait for the model (asynchronous "
        "scheduling, or one process), step_interval_ms, or of prompts alone t_prefill_ms; engine's "
        "clock",
    },
    read=_read,
    series=engine_series,
    read_series=_read_series,
)
