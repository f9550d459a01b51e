"""GuideLLM's `benchmarks.json`: one document, with the requests of each benchmark by status.

Read in GuideLLM 0.8 (`schemas/base/request_stats.py`, `schemas/base/info.py`); fields of 0.3 to 0.7
are known under their names of then. Times are Unix seconds. Its `time_per_output_token_ms` includes
the first token and is not used: the time of a further token is taken from the first and the last.
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
from bayeslat.traces.importers.json_rows import decode_rows
from bayeslat.traces.importers.json_stream import JsonStream, open_json
from bayeslat.traces.importers.vocabulary import columns_named

__all__ = ["IMPORTER"]

type Numbers = NDArray[np.float64]

_REFUSED = {
    "successful": None,
    "errored": "request failed",
    "incomplete": "request not finished",
}
_AGAIN = "run GuideLLM again and keep its benchmarks.json"


class _Timings(msgspec.Struct):
    request_start: float | None = None
    request_end: float | None = None
    first_token_iteration: float | None = None
    last_token_iteration: float | None = None
    first_iteration: float | None = None  # until 0.5
    last_iteration: float | None = None


class _Info(msgspec.Struct):
    timings: _Timings = msgspec.field(default_factory=_Timings)


class _Request(msgspec.Struct):
    request_id: str | None = None
    info: _Info = msgspec.field(default_factory=_Info)
    prompt_tokens: float | None = None
    cached_tokens: float | None = None
    output_tokens: float | None = None
    time_to_first_token_ms: float | None = None
    start_time: float | None = None  # until 0.3, where info has no timings
    end_time: float | None = None
    first_token_time: float | None = None
    last_token_time: float | None = None


def _read(path: Path, tally: Tally) -> Iterator[Batch]:
    found = False
    with open_json(path) as stream:
        if stream.peek() != "{":
            raise refuse(path, f"is no report of GuideLLM; {_AGAIN}")
        for key in stream.members():
            if key == "metadata":
                _note_version(stream.read(Any), tally, path)
            elif key == "benchmarks":
                found = True
                for number, _ in enumerate(stream.elements()):
                    yield from _read_benchmark(stream, path, tally, str(number + 1))
    if not found:
        raise refuse(path, f"has no member 'benchmarks', as reports of GuideLLM have; {_AGAIN}")


def _note_version(metadata: Any, tally: Tally, path: Path) -> None:
    """Keep the version of the tool; refuse a version of the report that nobody knows here."""
    if not isinstance(metadata, dict):
        return
    version = metadata.get("version")
    if isinstance(version, int) and version > 2:
        raise refuse(
            path,
            f"is a report of version {version}, and 1 and 2 can be read; update bayeslat, or write "
            "it with GuideLLM 0.8",
        )
    if isinstance(metadata.get("guidellm_version"), str):
        tally.software["guidellm"] = metadata["guidellm_version"]


def _read_benchmark(stream: JsonStream, path: Path, tally: Tally, section: str) -> Iterator[Batch]:
    """Read one benchmark: its settings come before its requests."""
    constants: dict[str, str | float | int] = {"observed_by": "client"}
    sampled = requests = late = False
    keys = []
    for key in stream.members():
        keys.append(key)
        if key in ("config", "args", "worker"):
            config = stream.read(Any)
            found = _constants(config)
            constants |= found
            late |= requests and bool(found)
            sampled |= isinstance(config, dict) and bool(config.get("sample_size"))
        elif key == "requests":
            requests = True
            for status in stream.members():
                if status in _REFUSED and stream.peek() == "[":
                    for text in stream.batches():
                        rows = decode_rows(text, tally, _Request)
                        yield _batch(rows, constants, section, _REFUSED[status], sampled, path)
    if not requests:
        raise refuse(
            path,
            f"its benchmark {section} holds aggregates only ({', '.join(keys[:4])}, ...), not its "
            f"requests; {_AGAIN}",
        )
    if late:
        tally.note(
            "the settings of a benchmark stand behind its requests: model and load are not taken "
            "from them; name these with --served-model and --set"
        )
    if sampled:
        tally.note(
            "the report holds a sample of the requests, so the load that they met is not known"
        )


def _constants(config: Any) -> dict[str, str | float | int]:
    """Return the model and the load that a benchmark was set to."""
    if not isinstance(config, dict):
        return {}
    found: dict[str, str | float | int] = {}
    backend = _dict(config.get("backend"))
    model = backend.get("model") or config.get("backend_model")
    if isinstance(model, str) and model:
        found["model"] = model
    strategy = _dict(config.get("strategy"))
    most = strategy.get("max_concurrency") or strategy.get("streams")
    if isinstance(most, int) and strategy.get("type_") in ("concurrent", "throughput"):
        found["concurrency"] = most
    if strategy.get("type_") == "synchronous":
        found["concurrency"] = 1
    rate = strategy.get("rate")
    if isinstance(rate, int | float) and strategy.get("type_") in ("constant", "poisson"):
        found["request_rate_per_s"] = float(rate)
    return found


def _dict(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _batch(
    rows: list[_Request],
    constants: Mapping[str, str | float | int],
    section: str,
    refused: str | None,
    sampled: bool,
    path: Path,
) -> Batch:
    """Return requests as rows."""
    times = np.array([_times(row) for row in rows], dtype=np.float64).reshape(len(rows), 4)
    start, first, last, end = times.T
    output = np.array([row.output_tokens for row in rows], dtype=np.float64)
    ttft = 1e3 * (first - start)
    stated = np.array([row.time_to_first_token_ms for row in rows], dtype=np.float64)
    _check_unit(ttft, stated, path)
    return Batch(
        n_rows=len(rows),
        columns={
            **constants,
            "request_id": [row.request_id for row in rows],
            "t_ttft_ms": np.where(np.isnan(ttft), stated, ttft),
            "t_tpot_ms": per_token(1e3 * (last - first), output),
            "t_e2e_ms": 1e3 * (end - start),
            "prompt_tokens": np.array([row.prompt_tokens for row in rows], dtype=np.float64),
            "cached_tokens": np.array([row.cached_tokens for row in rows], dtype=np.float64),
            "output_tokens": output,
        },
        section=section,
        start_s=None if sampled else start,
        end_s=None if sampled else end,
        refused=[refused] * len(rows),
    )


def _times(row: _Request) -> tuple[float | None, ...]:
    """Return when a request started, had its first and last token, and ended, Unix s."""
    timings = row.info.timings
    if timings.request_start is None:  # until 0.3, or a request that was never sent
        return row.start_time, row.first_token_time, row.last_token_time, row.end_time
    return (
        timings.request_start,
        timings.first_iteration
        if timings.first_token_iteration is None
        else timings.first_token_iteration,
        timings.last_iteration
        if timings.last_token_iteration is None
        else timings.last_token_iteration,
        timings.request_end,
    )


def _check_unit(ttft: Numbers, stated: Numbers, path: Path) -> None:
    """Refuse timings that are no seconds: they contradict the report's own milliseconds."""
    if not 0.5 < (typical := typical_ratio(ttft, stated)) < 2:
        raise refuse(
            path,
            "its timings are no seconds: the times to first token that follow from them are "
            f"{typical:.3g} times its time_to_first_token_ms; name the file as "
            "GuideLLM wrote it",
        )


IMPORTER = Importer(
    name="guidellm",
    title="GuideLLM, benchmarks.json",
    patterns=("*benchmarks*.json",),
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
        "t_tpot_ms": "client: from the first token to the last, by output tokens - 1 (GuideLLM's "
        "own time_per_output_token_ms includes the first token)",
        "t_e2e_ms": "client: from sending the request to the end of its response",
    },
    read=_read,
)
