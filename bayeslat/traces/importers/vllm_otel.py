"""vLLM's own OpenTelemetry spans (`--otlp-traces-endpoint`): one `llm_request` span a request.

Read in vLLM 0.32 (`v1/engine/output_processor.py`, `tracing/utils.py`). Latencies are attributes of
the span, in seconds. The span starts when the request arrived at the server, and ends within
milliseconds of its last token.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import compress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bayeslat.traces.formats.content import refuse
from bayeslat.traces.importers.client import typical_ratio
from bayeslat.traces.importers.importer import Batch, Importer, Tally
from bayeslat.traces.importers.otlp import read_spans
from bayeslat.traces.importers.span_columns import Spans
from bayeslat.traces.importers.vocabulary import columns_named

__all__ = ["IMPORTER"]

_LATENCIES = {
    "t_queueing_ms": "gen_ai.latency.time_in_queue",
    "t_prefill_ms": "gen_ai.latency.time_in_model_prefill",
    "t_decode_ms": "gen_ai.latency.time_in_model_decode",
    "t_ttft_ms": "gen_ai.latency.time_to_first_token",
    "t_e2e_ms": "gen_ai.latency.e2e",
}
_MOST_APART = 30.0  # times: the ends of short requests and spans differ, units by a thousand
_PROMPT, _OUTPUT = "gen_ai.usage.prompt_tokens", "gen_ai.usage.completion_tokens"
_TEXTS = {"request_id": "gen_ai.request.id", "model": "gen_ai.response.model"}


def _read(path: Path, tally: Tally) -> Iterator[Batch]:
    stated, lasted = [np.empty(0)], [np.empty(0)]
    for spans in read_spans(path, tally):
        is_request = np.array([name == "llm_request" for name in spans.name], dtype=bool)
        for name in compress(spans.name, ~is_request):
            tally.refuse(f"span of another kind ({name})")
        batch = _batch(spans, is_request)
        stated.append(batch.columns["t_e2e_ms"])
        lasted.append(1e-6 * (spans.end_ns - spans.start_ns)[is_request])
        yield batch
    ratio = typical_ratio(np.concatenate(stated), np.concatenate(lasted))
    if not 1 / _MOST_APART < ratio < _MOST_APART:
        raise refuse(
            path,
            f"its times are not in the unit of this format: {_LATENCIES['t_e2e_ms']}, taken for "
            f"seconds, is {ratio:.3g} times what lies between the start and the end of a span; "
            "name the file as the collector wrote it",
        )
    if not any(map(len, stated)):
        raise refuse(
            path,
            "holds no span 'llm_request' of vLLM; start vLLM with --otlp-traces-endpoint, and name "
            "the file that the collector wrote",
        )


def _batch(spans: Spans, wanted: NDArray[np.bool_]) -> Batch:
    """Return the wanted spans as rows."""
    numbers = spans.attributes.numbers
    seconds = {name: numbers(key)[wanted] for name, key in _LATENCIES.items()}
    output = numbers(_OUTPUT)[wanted]
    with np.errstate(invalid="ignore", divide="ignore"):
        per_token = np.where(output > 1, seconds["t_decode_ms"] / (output - 1), np.nan)
    start = 1e-9 * spans.start_ns[wanted]
    unknown = ~np.isfinite(np.stack(list(seconds.values()))).any(axis=0)
    texts = {
        name: list(compress(spans.attributes.texts(key), wanted)) for name, key in _TEXTS.items()
    }
    return Batch(
        n_rows=len(start),
        columns={
            **{name: 1e3 * values for name, values in seconds.items()},
            **texts,
            "t_tpot_ms": 1e3 * per_token,
            "observed_by": "server",
            "prompt_tokens": numbers(_PROMPT)[wanted],
            "output_tokens": output,
        },
        start_s=np.where(start > 0, start, np.nan),
        end_s=np.where(start > 0, start + seconds["t_e2e_ms"], np.nan),
        refused=["span without gen_ai.latency attributes" if each else None for each in unknown],
    )


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
