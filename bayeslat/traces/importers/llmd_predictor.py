"""Samples of llm-d's latency predictor: one a line, as its trace recorder writes them.

Read in llm-d's latency predictor (`benchmarks/traces/README.md`, `training_server.py`). The body of
a bulk upload, one document with the samples under `entries`, is read too. A sample of one latency
has 0 for the other.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from bayeslat.traces.formats.content import refuse
from bayeslat.traces.importers.importer import Batch, Importer, Tally
from bayeslat.traces.importers.json_rows import decode_rows, read_lines
from bayeslat.traces.importers.json_stream import open_json
from bayeslat.traces.importers.vocabulary import Column, columns_named

__all__ = ["IMPORTER"]

_HEAD_BYTES = 1 << 12


class _Sample(msgspec.Struct):
    kv_cache_percentage: float
    input_token_length: float
    num_request_waiting: float
    num_request_running: float
    actual_ttft_ms: float | None = None
    actual_tpot_ms: float | None = None
    num_tokens_generated: float | None = None
    prefix_cache_score: float | None = None
    prefill_tokens_in_flight: float | None = None
    decode_tokens_in_flight: float | None = None
    pod_type: str | None = None


def _read(path: Path, tally: Tally) -> Iterator[Batch]:
    first = 0
    for rows in _samples(path, tally):
        if rows:
            yield _batch(rows, first, path)
        first += len(rows)


def _samples(path: Path, tally: Tally) -> Iterator[list[_Sample]]:
    """Give the samples of lines, or of one document."""
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES).lstrip()
    except OSError as error:
        raise refuse(path, f"cannot be opened ({error.strerror}); check it") from error
    if b'"entries"' not in head.partition(b":")[0]:
        yield from read_lines(path, tally, _Sample)
        return
    with open_json(path) as stream:
        for key in stream.members():
            if key == "entries":
                for text in stream.batches():
                    yield decode_rows(text, tally, _Sample)


def _batch(rows: list[_Sample], first: int, path: Path) -> Batch:
    """Return samples as rows."""

    def column(name: str) -> np.ndarray:
        return np.array([getattr(row, name) for row in rows], dtype=np.float64)

    usage = column("kv_cache_percentage")
    if np.median(usage) > 1:
        raise refuse(
            path,
            f"its 'kv_cache_percentage' are no shares: half of them are above 1, as "
            f"{np.max(usage):g}; they must be 0 to 1, divide them by 100",
        )
    return Batch(
        n_rows=len(rows),
        columns={
            "request_id": np.arange(first, first + len(rows)).astype(str).tolist(),
            "observed_by": "gateway",
            "t_ttft_ms": _measured(column("actual_ttft_ms")),
            "t_tpot_ms": _measured(column("actual_tpot_ms")),
            "prompt_tokens": column("input_token_length"),
            "output_tokens": column("num_tokens_generated"),
            "prefix_cache_score": column("prefix_cache_score"),
            "running": column("num_request_running"),
            "waiting": column("num_request_waiting"),
            "kv_usage": usage,
            "prefill_tokens_in_flight": column("prefill_tokens_in_flight"),
            "decode_tokens_in_flight": column("decode_tokens_in_flight"),
            "pod_type": [row.pod_type or None for row in rows],
        },
    )


def _measured(latency_ms: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return latencies, NaN where the sample is of the other one."""
    return np.where(latency_ms == 0, np.nan, latency_ms)


IMPORTER = Importer(
    name="llmd_predictor",
    title="llm-d's latency predictor, samples of its trace recorder",
    patterns=("*.jsonl",),
    columns=(
        *columns_named(
            "request_id",
            "observed_by",
            "t_ttft_ms",
            "t_tpot_ms",
            "prompt_tokens",
            "output_tokens",
            "running",
            "waiting",
            "kv_usage",
        ),
        Column("prefix_cache_score", "number", "share of the prompt in the prefix cache, 0 to 1"),
        Column("prefill_tokens_in_flight", "count", "tokens of prompts that the pod works on"),
        Column("decode_tokens_in_flight", "count", "tokens that the pod has generated so far"),
        Column("pod_type", "text", "prefill or decode, where these are apart"),
    ),
    definitions={
        "t_ttft_ms": "gateway: from the request's arrival to its first token, with the network",
        "t_tpot_ms": "gateway: time of an output token after the first, running mean or sampled",
    },
    read=_read,
)
