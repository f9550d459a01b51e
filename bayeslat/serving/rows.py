"""The rows of a log: what an iteration did, and what became of a request."""

from __future__ import annotations

from collections.abc import Iterable

from bayeslat.serving.read_fields import Row, field_at, number_at, span_ms

__all__ = ["finished_requests", "queued_at_s", "request_row", "step_row"]

# Of `SchedulerStats`: the state that the iteration left.
_STATE = {
    "running": "num_running_reqs",
    "waiting": "num_waiting_reqs",
    "deferred": "num_skipped_waiting_reqs",
    "kv_usage": "kv_cache_usage",
}
# Of `SchedulerIterationDetails`, which a server fills that runs with
# --enable-logging-iteration-details.
_BATCH = {
    "iteration": "iteration_index",
    "elapsed_ms": "elapsed_ms",
    "prefill_requests": "num_ctx_requests",
    "prefill_tokens": "num_ctx_tokens",
    "decode_requests": "num_generation_requests",
    "decode_tokens": "num_generation_tokens",
    "encoder_inputs": "num_encoder_inputs",
    "encoder_tokens": "num_encoder_output_tokens",
}
# Of `SchedulerStats`, where a feature of the server fills them.
_EXTRA = {
    "cached_tokens": "prefix_cache_stats.hits",
    "draft_tokens": "spec_decoding_stats.num_draft_tokens",
    "accepted_tokens": "spec_decoding_stats.num_accepted_tokens",
    "model_flops": "perf_stats.num_flops_per_gpu",
    "model_read_bytes": "perf_stats.num_read_bytes_per_gpu",
    "model_write_bytes": "perf_stats.num_write_bytes_per_gpu",
}
# Of `FinishedRequestStats`.
_REQUEST = {
    "prompt_tokens": "num_prompt_tokens",
    "output_tokens": "num_generation_tokens",
    "cached_tokens": "num_cached_tokens",
    "max_tokens": "max_tokens_param",
    "preemptions": "num_preemptions",
}
_REQUEST_SPANS = {
    "queueing_ms": "queued_time",
    "prefill_ms": "prefill_time",
    "decode_ms": "decode_time",
    "e2e_ms": "e2e_latency",
}


def step_row(at_s: float, scheduler: object, iteration: object) -> Row:
    """Return the row of one engine iteration.

    Parameters
    ----------
    at_s : float
        When its outputs reached the server, Unix time in s.
    scheduler : SchedulerStats
    iteration : IterationStats or None
        None where the iteration had no outputs.

    Returns
    -------
    dict
        `elapsed_ms` is the time from when the model was asked for until its outputs were there;
        `gap_ms` that since the iteration before, as requests saw it that were decoded in both.
        What the server does not tell is None.
    """
    details = field_at(scheduler, "iteration_details")
    row: Row = {"kind": "step", "at_s": round(at_s, 6)}
    row |= {name: number_at(details, path) for name, path in _BATCH.items()}
    row["gap_ms"] = _gap_ms(iteration)
    row |= {name: number_at(scheduler, path) for name, path in _STATE.items()}
    row["output_tokens"] = number_at(iteration, "num_generation_tokens")
    row["preempted"] = number_at(iteration, "num_preempted_reqs")
    row |= {name: number_at(scheduler, path) for name, path in _EXTRA.items()}
    if field_at(details, "is_dummy") is True:
        row["dummy"] = True
    return row


def _gap_ms(iteration: object) -> float | None:
    """Return the shortest time between two tokens: later ones waited for more iterations."""
    gaps = field_at(iteration, "inter_token_latencies_iter")
    if not isinstance(gaps, Iterable):
        return None
    shortest = min((gap for gap in gaps if isinstance(gap, float) and gap > 0), default=None)
    return None if shortest is None else round(1e3 * shortest, 4)


def finished_requests(iteration: object) -> list[object]:
    """Return the requests that finished in an iteration, as vLLM tells them."""
    finished = field_at(iteration, "finished_requests")
    return list(finished) if isinstance(finished, Iterable) else []


def queued_at_s(at_s: float, request: object) -> float:
    """Return when the engine took a request into its queue, Unix time in s.

    Its own clock tells spans only: they are counted back from the end of the request.
    """
    inference = number_at(request, "inference_time") or 0.0
    return at_s - inference - (number_at(request, "queued_time") or 0.0)


def request_row(at_s: float, finished_in: object, request: object, met: Row | None) -> Row:
    """Return the row of one finished request.

    Parameters
    ----------
    at_s : float
        When it finished, Unix time in s.
    finished_in : int or None
        The iteration in which it did.
    request : FinishedRequestStats
    met : dict or None
        The row of the last iteration before it was queued.

    Returns
    -------
    dict
        `queueing_ms` runs from when the engine took it into its queue, which it does between
        iterations, until it was scheduled first. `met_...` is what that last iteration did and
        left, missing where it is too long ago to be known.
    """
    e2e_s = number_at(request, "e2e_latency")
    row: Row = {
        "kind": "request",
        "at_s": round(at_s, 6),
        "iteration": finished_in,
        "id": field_at(request, "request_id"),
        "finish_reason": _reason(request),
        "arrived_at_s": None if e2e_s is None else round(at_s - e2e_s, 6),
        "queued_at_s": round(queued_at_s(at_s, request), 6),
    }
    row |= {name: number_at(request, path) for name, path in _REQUEST.items()}
    row |= {name: span_ms(request, path) for name, path in _REQUEST_SPANS.items()}
    for name in (*_BATCH, *_STATE):
        row[f"met_{name}"] = None if met is None else met.get(name)
    return row


def _reason(request: object) -> str | None:
    reason = field_at(request, "finish_reason")
    return None if reason is None else str(reason)
