"""The rows of a log: what an iteration did, and what became of a request."""

from __future__ import annotations

from collections.abc import Iterable

from bayeslat.serving.read_fields import Names, Row, field, number, numbers

__all__ = ["finished_requests", "queued_at_s", "request_row", "step_row"]

# Of `SchedulerIterationDetails`, which a server fills that runs with
# --enable-logging-iteration-details.
_BATCH = Names(
    iteration="iteration_index",
    elapsed_ms="elapsed_ms",
    prefill_requests="num_ctx_requests",
    prefill_tokens="num_ctx_tokens",
    decode_requests="num_generation_requests",
    decode_tokens="num_generation_tokens",
    encoder_inputs="num_encoder_inputs",
    encoder_tokens="num_encoder_output_tokens",
)
# Of `SchedulerStats`: the state that the iteration left.
_STATE = Names(
    running="num_running_reqs",
    waiting="num_waiting_reqs",
    deferred="num_skipped_waiting_reqs",
    kv_usage="kv_cache_usage",
)
# Of `IterationStats`.
_OUTPUT = Names(output_tokens="num_generation_tokens", preempted="num_preempted_reqs")
# Of further parts of `SchedulerStats`, where a feature of the server fills them.
_PARTS = {
    "prefix_cache_stats": Names(cached_tokens="hits"),
    "spec_decoding_stats": Names(
        draft_tokens="num_draft_tokens", accepted_tokens="num_accepted_tokens"
    ),
    "perf_stats": Names(
        model_flops="num_flops_per_gpu",
        model_read_bytes="num_read_bytes_per_gpu",
        model_write_bytes="num_write_bytes_per_gpu",
    ),
}
# Of `FinishedRequestStats`.
_REQUEST = Names(
    prompt_tokens="num_prompt_tokens",
    output_tokens="num_generation_tokens",
    cached_tokens="num_cached_tokens",
    max_tokens="max_tokens_param",
    preemptions="num_preemptions",
)
_REQUEST_SPANS = Names(
    queueing_ms="queued_time",
    prefill_ms="prefill_time",
    decode_ms="decode_time",
    e2e_ms="e2e_latency",
)
# What a request is told of the iteration that it met.
_MET = tuple((f"met_{name}", name) for name in (*_BATCH.columns, *_STATE.columns))


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
        What the server does not tell is left out.
    """
    row: Row = {"kind": "step", "at_s": at_s}
    details = field(scheduler, "iteration_details")
    if details is not None:
        row |= numbers(details, _BATCH)
        if field(details, "is_dummy") is True:
            row["dummy"] = True
    row |= numbers(scheduler, _STATE)
    for part, names in _PARTS.items():
        stats = field(scheduler, part)
        if stats is not None:
            row |= numbers(stats, names)
    if iteration is not None:
        row |= numbers(iteration, _OUTPUT)
        gap = _gap_ms(iteration)
        if gap is not None:
            row["gap_ms"] = gap
    return row


def _gap_ms(iteration: object) -> int | float | None:
    """Return the shortest time between two tokens: longer ones span several iterations."""
    gaps = field(iteration, "inter_token_latencies_iter")
    shortest = min(gaps, default=None) if isinstance(gaps, list) else None
    # vLLM counts from 0 where it missed the first token.
    return number(1e3 * shortest) if isinstance(shortest, float) and shortest > 0 else None


def finished_requests(iteration: object) -> list[object]:
    """Return the requests that finished in an iteration, as vLLM tells them."""
    finished = field(iteration, "finished_requests")
    return list(finished) if isinstance(finished, Iterable) else []


def queued_at_s(at_s: float, request: object) -> float:
    """Return when the engine took a request into its queue, Unix time in s.

    Its own clock tells spans only: they are counted back from the end of the request.
    """
    inference = number(field(request, "inference_time")) or 0.0
    return at_s - inference - (number(field(request, "queued_time")) or 0.0)


def request_row(at_s: float, step: Row, request: object, met: Row) -> Row:
    """Return the row of one finished request.

    Parameters
    ----------
    at_s : float
        When it finished, Unix time in s.
    step : dict
        The row of the iteration in which it did; empty where another process was told of it.
    request : FinishedRequestStats
    met : dict
        The row of the last iteration before it was queued; empty where it is not known.

    Returns
    -------
    dict
        `queueing_ms` runs from when the engine took it into its queue, which it does between
        iterations, until it was scheduled first. `met_...` is what that last iteration did and
        left. What is not known is left out.
    """
    row: Row = {
        "kind": "request",
        "at_s": at_s,
        "iteration": step.get("iteration"),
        "id": field(request, "request_id"),
        "finish_reason": _reason(request),
        "queued_at_s": number(queued_at_s(at_s, request)),
    }
    row |= numbers(request, _REQUEST)
    spans = numbers(request, _REQUEST_SPANS)  # in s
    if "e2e_ms" in spans:
        row["arrived_at_s"] = number(at_s - spans["e2e_ms"])
    row |= {name: number(1e3 * seconds) for name, seconds in spans.items()}
    row |= {name: met[source] for name, source in _MET if source in met}
    return {name: value for name, value in row.items() if value is not None}


def _reason(request: object) -> str | None:
    reason = field(request, "finish_reason")
    return None if reason is None else str(reason)
