"""AIPerf's `profile_export.jsonl`: one line a request, each metric with its unit.

Read in AIPerf 0.13 (`common/models/record_models.py`). Times of a request are Unix nanoseconds of
the client; metrics are in the unit that stands beside them. The model and the load that was asked
for are in `profile_export_aiperf.json` beside the file, if that is there.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from bayeslat.traces.importers.importer import Batch, Importer, Tally
from bayeslat.traces.importers.json_rows import read_lines
from bayeslat.traces.importers.json_stream import decode
from bayeslat.traces.importers.units import MS_PER_UNIT
from bayeslat.traces.importers.vocabulary import columns_named

__all__ = ["IMPORTER"]

type Numbers = NDArray[np.float64]


class _Value(msgspec.Struct):
    value: float
    unit: str


class _Metadata(msgspec.Struct):
    request_start_ns: int
    request_end_ns: int
    x_request_id: str | None = None
    session_num: int | None = None
    benchmark_phase: str = "profiling"
    was_cancelled: bool = False


class _Metrics(msgspec.Struct):
    time_to_first_token: _Value | None = None
    request_latency: _Value | None = None
    input_sequence_length: _Value | None = None
    output_sequence_length: _Value | None = None
    usage_prompt_tokens: _Value | None = None
    usage_completion_tokens: _Value | None = None
    usage_prompt_cache_read_tokens: _Value | None = None


class _Record(msgspec.Struct):
    metadata: _Metadata
    metrics: _Metrics
    error: Any = None


def _read(path: Path, tally: Tally) -> Iterator[Batch]:
    constants = {"observed_by": "client", **_settings_beside(path, tally)}
    for rows in read_lines(path, tally, _Record):
        metrics = [row.metrics for row in rows]
        ttft = _milliseconds([metric.time_to_first_token for metric in metrics])
        end_to_end = _milliseconds([metric.request_latency for metric in metrics])
        output = _counts([metric.output_sequence_length for metric in metrics])
        with np.errstate(invalid="ignore", divide="ignore"):
            per_token = np.where(output > 1, (end_to_end - ttft) / (output - 1), np.nan)
        yield Batch(
            n_rows=len(rows),
            columns={
                **constants,
                "request_id": [_name(row.metadata) for row in rows],
                "t_ttft_ms": ttft,
                "t_tpot_ms": per_token,
                "t_e2e_ms": end_to_end,
                "prompt_tokens": _counts(
                    [
                        metric.usage_prompt_tokens or metric.input_sequence_length
                        for metric in metrics
                    ]
                ),
                "cached_tokens": _counts(
                    [metric.usage_prompt_cache_read_tokens for metric in metrics]
                ),
                "output_tokens": output,
            },
            start_s=1e-9 * np.array([row.metadata.request_start_ns for row in rows], dtype=float),
            end_s=1e-9 * np.array([row.metadata.request_end_ns for row in rows], dtype=float),
            refused=[_refusal(row) for row in rows],
        )


def _name(metadata: _Metadata) -> str | None:
    """Return what to call a request."""
    if metadata.x_request_id:
        return metadata.x_request_id
    return None if metadata.session_num is None else str(metadata.session_num)


def _refusal(row: _Record) -> str | None:
    """Return why a request is no measurement."""
    if row.error is not None:
        return "request failed"
    if row.metadata.was_cancelled:
        return "request cancelled"
    if row.metadata.benchmark_phase != "profiling":
        return f"of the phase {row.metadata.benchmark_phase}"
    for value in (row.metrics.time_to_first_token, row.metrics.request_latency):
        if value is not None and value.unit not in MS_PER_UNIT:
            return f"time in the unit {value.unit!r}, which nobody knows here"
    return None


def _milliseconds(values: list[_Value | None]) -> Numbers:
    """Return times in ms, NaN where there is none or its unit is unknown."""
    return np.array(
        [
            np.nan if value is None else value.value * MS_PER_UNIT.get(value.unit, np.nan)
            for value in values
        ],
        dtype=np.float64,
    )


def _counts(values: list[_Value | None]) -> Numbers:
    """Return numbers of tokens, NaN where there is none."""
    return np.array(
        [np.nan if value is None else value.value for value in values], dtype=np.float64
    )


def _settings_beside(path: Path, tally: Tally) -> dict[str, str | float | int]:
    """Return the model and the load that were asked for, if the summary stands beside the file."""
    beside = path.with_name(f"{path.stem}_aiperf.json")
    try:
        summary = decode(beside.read_bytes(), dict[str, Any])
    except (OSError, ValueError):
        return {}
    if isinstance(summary.get("aiperf_version"), str):
        tally.software["aiperf"] = summary["aiperf_version"]
    return {}


IMPORTER = Importer(
    name="aiperf",
    title="AIPerf, profile_export.jsonl",
    patterns=("profile_export.jsonl",),
    columns=columns_named(
        "model",
        "request_id",
        "observed_by",
        "t_ttft_ms",
        "t_tpot_ms",
        "t_e2e_ms",
        "prompt_tokens",
        "cached_tokens",
        "output_tokens",
        "concurrency",
        "request_rate_per_s",
    ),
    definitions={
        "t_ttft_ms": "client: from sending the request to its first token",
        "t_tpot_ms": "client: from the first token to the last response, by output tokens - 1",
        "t_e2e_ms": "client: from sending the request to its last response",
    },
    read=_read,
)
