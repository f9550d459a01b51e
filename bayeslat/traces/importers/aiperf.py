"""AIPerf's `profile_export.jsonl`: one line a request, each metric with its unit.

Read in AIPerf 0.13 (`common/models/record_models.py`, `config/phases.py`). Times of a request are
Unix nanoseconds of the client; metrics are in the unit that stands beside them. The model and the
load that was asked for are in `profile_export_aiperf.json` beside the file, if that is there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from bayeslat.traces.formats.content import refuse
from bayeslat.traces.importers.client import per_token, typical_ratio
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
        start, end = (
            1e-9 * np.array([getattr(row.metadata, name) for row in rows], dtype=np.float64)
            for name in ("request_start_ns", "request_end_ns")
        )
        _check_unit(end_to_end, 1e3 * (end - start), path)
        yield Batch(
            n_rows=len(rows),
            columns={
                **constants,
                "request_id": [_name(row.metadata) for row in rows],
                "t_ttft_ms": ttft,
                "t_tpot_ms": per_token(end_to_end - ttft, output),
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
            start_s=start,
            end_s=end,
            refused=[_refusal(row) for row in rows],
        )


def _check_unit(end_to_end_ms: Numbers, lasted_ms: Numbers, path: Path) -> None:
    """Refuse times whose unit is not the one beside them: they contradict when requests ended."""
    if not 0.5 < (typical := typical_ratio(end_to_end_ms, lasted_ms)) < 2:
        raise refuse(
            path,
            "its times are not in the units beside them: request_latency is "
            f"{typical:.3g} times what lies between request_start_ns and request_end_ns; name the "
            "file as AIPerf wrote it",
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
    if tally.collected_at is None and isinstance(summary.get("start_time"), str):
        tally.collected_at = summary["start_time"]
    settings = summary.get("input_config")
    if not isinstance(settings, dict):
        return {}
    return _model(settings) | _load(settings)


def _model(settings: Mapping[str, Any]) -> dict[str, str | float | int]:
    """Return the model, if all requests went to one."""
    models = settings.get("models")
    items = models.get("items") if isinstance(models, dict) else None
    names = [item.get("name") for item in items or () if isinstance(item, dict)]
    return {"model": names[0]} if len(names) == 1 and isinstance(names[0], str) else {}


def _load(settings: Mapping[str, Any]) -> dict[str, str | float | int]:
    """Return the load that was asked for, if it was one all the time."""
    phases = settings.get("phases")
    measured = [
        phase
        for phase in (phases if isinstance(phases, list) else ())
        # Without a kind, as in 0.10, AIPerf takes it from the name.
        if isinstance(phase, dict) and (phase.get("kind") or phase.get("name")) == "profiling"
    ]
    if len(measured) != 1:
        return {}
    found: dict[str, str | float | int] = {}
    most, rate = measured[0].get("concurrency"), measured[0].get("rate")
    if isinstance(most, int):
        found["concurrency"] = most
    if isinstance(rate, int | float):
        found["request_rate_per_s"] = float(rate)
    return found


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
