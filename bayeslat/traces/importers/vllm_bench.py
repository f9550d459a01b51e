"""`vllm bench serve --save-result --save-detailed`: one JSON document a run, with a list a metric.

Read in vLLM 0.32 (`vllm/benchmarks/serve.py`, `lib/endpoint_request_func.py`). SGLang's
`bench_serving --output-details` writes the same lists. Times are seconds; means in the header are
milliseconds, which tells whether someone changed the unit. Versions without `latencies` have them
as the time to first token and the sum of `itls`. The wait for a place among `max_concurrency`
requests (`queue_times`) is over when a request's clock starts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bayeslat.errors import TraceError
from bayeslat.traces.formats.content import refuse
from bayeslat.traces.importers.client import per_token
from bayeslat.traces.importers.importer import Batch, Importer, Tally
from bayeslat.traces.importers.json_stream import JsonStream, decode, open_json
from bayeslat.traces.importers.vocabulary import columns_named

__all__ = ["IMPORTER"]

type Numbers = NDArray[np.float64]

_LISTS = ("input_lens", "output_lens", "ttfts", "latencies", "start_times")
_SCALARS = ("model_id", "request_rate", "max_concurrency", "date", "mean_ttft_ms", "completed")
_NO_TOKEN = "answer without a token"
_BATCH_ROWS = 1 << 16
_OTHER_COMMANDS = {
    "avg_latency": "`vllm bench latency`, which says no shapes",
    "requests_per_second": "`vllm bench throughput`, which holds totals only",
    "mm_processor_stats": "`vllm bench mm-processor`, which holds summaries only",
}


@dataclass(slots=True)
class _Run:
    """One document: its header, and a value a request of each list."""

    header: dict[str, Any] = field(default_factory=dict)
    lists: dict[str, Numbers] = field(default_factory=dict)
    failed: NDArray[np.bool_] | None = None
    keys: set[str] = field(default_factory=set)


def _read(path: Path, tally: Tally) -> Iterator[Batch]:
    with open_json(path) as stream:
        for number, _ in enumerate(stream.documents()):
            run = _read_run(stream, path)
            _check(run, path)
            if "latencies" not in run.lists and "itls" in run.keys:
                gaps = _sums_of_gaps(path, number)
                if len(gaps) != len(run.lists["ttfts"]):
                    raise refuse(path, "its lists have different lengths; run the tool again")
                run.lists["latencies"] = run.lists["ttfts"] + gaps
            _note_date(run, tally)
            yield from _batches(run, str(number + 1) if number else "")


def _read_run(stream: JsonStream, path: Path) -> _Run:
    """Read what is needed of a document."""
    run = _Run()
    if stream.peek() != "{":
        raise refuse(path, "is no result of `vllm bench serve`; name the file of --save-result")
    for key in stream.members():
        run.keys.add(key)
        if key in _SCALARS:
            run.header[key] = stream.read(Any)
        elif key in _LISTS:
            run.lists[key] = np.concatenate(
                [np.empty(0), *(_numbers(path, key, text) for text in stream.batches())]
            )
        elif key == "errors":
            pieces = [_decode(path, key, text, list[str | None]) for text in stream.batches()]
            run.failed = np.array([bool(text) for piece in pieces for text in piece], dtype=bool)
    return run


def _numbers(path: Path, key: str, text: bytes) -> Numbers:
    """Return a part of a list of numbers; null is NaN."""
    return np.array(_decode(path, key, text, list[float | None]), dtype=np.float64)


def _decode[T](path: Path, key: str, text: bytes, kind: type[T]) -> T:
    try:
        return decode(text, kind)
    except ValueError as error:
        raise refuse(
            path, f"its list {key!r} cannot be read ({error}); run the tool again"
        ) from error


def _sums_of_gaps(path: Path, number: int) -> Numbers:
    """Return the time from the first token to the last of each request, s, shape (row,)."""
    with open_json(path) as stream:
        for position, _ in enumerate(stream.documents()):
            for key in stream.members() if position == number else ():
                if key == "itls":
                    pieces = [
                        [sum(gaps) for gaps in _decode(path, key, text, list[list[float]])]
                        for text in stream.batches()
                    ]
                    return np.array([gap for piece in pieces for gap in piece], dtype=np.float64)
    return np.empty(0)


def _check(run: _Run, path: Path) -> None:
    """Refuse a document without rows, or whose lists contradict each other or the header."""
    for key, command in _OTHER_COMMANDS.items():
        if key in run.keys and "input_lens" not in run.lists:
            raise refuse(path, f"was written by {command}; measure with `vllm bench serve`")
    if "input_lens" not in run.lists:
        if "completed" in run.keys or "mean_ttft_ms" in run.keys:
            raise refuse(
                path,
                "holds aggregates only, not a row for each request; run `vllm bench serve` again "
                "with --save-result --save-detailed",
            )
        raise refuse(
            path,
            "has no list 'input_lens', as results of `vllm bench serve` have; name the file of "
            "--save-result --save-detailed",
        )
    lacking = {"ttfts", "output_lens"} - set(run.lists)
    if lacking and not ("latencies" in run.lists and len(lacking) == 2):
        raise refuse(
            path,
            f"has no list {' nor '.join(sorted(lacking))}: it is of another version of the tool; "
            "run `vllm bench serve` of vLLM 0.6 or later with --save-detailed",
        )
    lengths = {key: len(values) for key, values in run.lists.items()}
    if run.failed is not None:
        lengths["errors"] = len(run.failed)
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{key} {length}" for key, length in lengths.items())
        raise refuse(path, f"its lists have different lengths ({told}); run the tool again")
    _check_unit(run, path)


def _check_unit(run: _Run, path: Path) -> None:
    """Refuse times to first token whose mean is not what the header says, up to a factor of 2."""
    stated = run.header.get("mean_ttft_ms")
    ttfts = run.lists.get("ttfts", np.empty(0))
    good = ttfts[np.isfinite(ttfts) & (ttfts > 0)]
    if not isinstance(stated, int | float) or not 0 < stated < np.inf or not len(good):
        return
    found = 1e3 * float(good.mean())
    if not 0.5 < found / stated < 2:
        raise _wrong_unit(path, found, stated)


def _wrong_unit(path: Path, found: float, stated: float) -> TraceError:
    return refuse(
        path,
        f"its 'ttfts' are no seconds: their mean would be {found:.4g} ms, and its 'mean_ttft_ms' "
        f"says {stated:.4g}; name the file as the tool wrote it",
    )


def _note_date(run: _Run, tally: Tally) -> None:
    """Keep when the first run was measured, in the client's local time."""
    date = run.header.get("date")
    if tally.collected_at is None and isinstance(date, str):
        try:
            moment = datetime.strptime(date, "%Y%m%d-%H%M%S")  # noqa: DTZ007 - the zone is unknown
        except ValueError:
            return
        tally.collected_at = moment.isoformat()


def _batches(run: _Run, section: str) -> Iterator[Batch]:
    """Give the requests of a document."""
    n_rows = len(run.lists["input_lens"])
    nothing = np.full(n_rows, np.nan)
    ttft, end_to_end, start, output = (
        run.lists.get(key, nothing) for key in ("ttfts", "latencies", "start_times", "output_lens")
    )
    failed = (end_to_end <= 0) | (ttft <= 0)
    if run.failed is not None:
        failed |= run.failed
    reasons = np.full(n_rows, None, dtype=object)
    reasons[output <= 0] = _NO_TOKEN
    reasons[failed] = "request failed"
    columns = {
        "request_id": np.arange(n_rows).astype(str).astype(object),
        "t_ttft_ms": 1e3 * ttft,
        "t_tpot_ms": 1e3 * per_token(end_to_end - ttft, output),
        "t_e2e_ms": 1e3 * end_to_end,
        "prompt_tokens": run.lists["input_lens"],
        "output_tokens": output,
    }
    constants = {"observed_by": "client", **_constants(run)}
    refused = reasons.tolist()
    for first in range(0, n_rows, _BATCH_ROWS):
        rows = slice(first, min(first + _BATCH_ROWS, n_rows))
        yield Batch(
            n_rows=rows.stop - rows.start,
            columns={**{name: cells[rows] for name, cells in columns.items()}, **constants},
            section=section,
            start_s=start[rows],
            end_s=(start + end_to_end)[rows],
            refused=refused[rows],
        )


def _constants(run: _Run) -> dict[str, str | float | int]:
    """Return what holds for all requests of a document."""
    found: dict[str, str | float | int] = {}
    model, rate, most = (
        run.header.get(key) for key in ("model_id", "request_rate", "max_concurrency")
    )
    if isinstance(model, str) and model:
        found["model"] = model
    if isinstance(rate, int | float) and np.isfinite(rate):  # "inf": all at once
        found["request_rate_per_s"] = float(rate)
    if isinstance(most, int) and most > 0:
        found["concurrency"] = most
    return found


IMPORTER = Importer(
    name="vllm_bench",
    title="vllm bench serve --save-result --save-detailed",
    patterns=("*.json", "*.jsonl"),
    columns=columns_named(
        "model",
        "request_id",
        "observed_by",
        "t_ttft_ms",
        "t_tpot_ms",
        "t_e2e_ms",
        "prompt_tokens",
        "output_tokens",
        "concurrency",
        "request_rate_per_s",
    ),
    definitions={
        "t_ttft_ms": "client: from sending the HTTP request to its first streamed chunk",
        "t_tpot_ms": "client: from the first chunk to the last, by output tokens - 1",
        "t_e2e_ms": "client: from sending the HTTP request to its last streamed chunk",
    },
    read=_read,
)
