"""vLLM's own OpenTelemetry spans (`--otlp-traces-endpoint`): one `llm_request` span a request.

Read in vLLM 0.32 (`v1/engine/output_processor.py`, `tracing/utils.py`). Latencies are attributes of
the span, in seconds. The span starts when the request arrived at the server.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bayeslat.traces.formats.content import refuse
from bayeslat.traces.importers.importer import Batch, Importer, Tally
from bayeslat.traces.importers.otlp import Scalar, Span, number_of, read_spans, values_of
from bayeslat.traces.importers.vocabulary import columns_named

__all__ = ["IMPORTER"]

type Numbers = NDArray[np.float64]

_BATCH_ROWS = 1 << 15
_LATENCIES = {
    "t_queueing_ms": "gen_ai.latency.time_in_queue",
    "t_prefill_ms": "gen_ai.latency.time_in_model_prefill",
    "t_decode_ms": "gen_ai.latency.time_in_model_decode",
    "t_ttft_ms": "gen_ai.latency.time_to_first_token",
    "t_e2e_ms": "gen_ai.latency.e2e",
}
_PROMPT, _OUTPUT = "gen_ai.usage.prompt_tokens", "gen_ai.usage.completion_tokens"
_REQUEST, _MODEL = "gen_ai.request.id", "gen_ai.response.model"


def _read(path: Path, tally: Tally) -> Iterator[Batch]:
    rows: list[tuple[Span, Mapping[str, Scalar]]] = []
    requests = 0
    for _, spans in read_spans(path, tally):
        for span in spans:
            if span.name != "llm_request":
                tally.refuse(f"span of another kind ({span.name})")
                continue
            requests += 1
            rows.append((span, values_of(span.attributes)))
        if len(rows) >= _BATCH_ROWS:
            yield _batch(rows)
            rows = []
    if rows:
        yield _batch(rows)
    if not requests:
        raise refuse(
            path,
            "holds no span 'llm_request' of vLLM; start vLLM with --otlp-traces-endpoint, and name "
            "the file that the collector wrote",
        )


def _batch(rows: list[tuple[Span, Mapping[str, Scalar]]]) -> Batch:
    """Return spans as rows."""
    seconds = {name: _numbers(rows, key) for name, key in _LATENCIES.items()}
    output = _numbers(rows, _OUTPUT)
    with np.errstate(invalid="ignore", divide="ignore"):
        per_token = np.where(output > 1, seconds["t_decode_ms"] / (output - 1), np.nan)
    start = 1e-9 * np.array([number_of(span.startTimeUnixNano) for span, _ in rows])
    unknown = ~np.isfinite(np.stack(list(seconds.values()))).any(axis=0)
    return Batch(
        n_rows=len(rows),
        columns={
            **{name: 1e3 * values for name, values in seconds.items()},
            "t_tpot_ms": 1e3 * per_token,
            "observed_by": "server",
            "request_id": [_text(values, _REQUEST) for _, values in rows],
            "model": [_text(values, _MODEL) for _, values in rows],
            "prompt_tokens": _numbers(rows, _PROMPT),
            "output_tokens": output,
        },
        start_s=np.where(start > 0, start, np.nan),
        end_s=np.where(start > 0, start + seconds["t_e2e_ms"], np.nan),
        refused=["span without gen_ai.latency attributes" if each else None for each in unknown],
    )


def _numbers(rows: list[tuple[Span, Mapping[str, Scalar]]], key: str) -> Numbers:
    """Return an attribute of each span, NaN where it has none or no number."""
    found = [values.get(key) for _, values in rows]
    return np.array(
        [value if isinstance(value, int | float) else np.nan for value in found], dtype=np.float64
    )


def _text(values: Mapping[str, Scalar], key: str) -> str | None:
    value = values.get(key)
    return value if isinstance(value, str) else None


IMPORTER = Importer(
    name="vllm_otel",
    title="vLLM's OpenTelemetry spans (--otlp-traces-endpoint), OTLP JSON of a collector",
    patterns=("*.json", "*.jsonl"),
    columns=columns_named(
        "model",
        "request_id",
        "observed_by",
        *_LATENCIES,
        "t_tpot_ms",
        "prompt_tokens",
        "output_tokens",
    ),
    definitions={
        "t_queueing_ms": "engine: from entering its queue to first being scheduled",
        "t_prefill_ms": "engine: from first being scheduled to the first token",
        "t_decode_ms": "engine: from the first token to the last",
        "t_ttft_ms": "server: from the request's arrival to its first token",
        "t_e2e_ms": "server: from the request's arrival to its last token",
        "t_tpot_ms": "engine: from the first token to the last, by output tokens - 1",
    },
    read=_read,
)
