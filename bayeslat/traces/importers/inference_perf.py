"""inference-perf's `per_request_lifecycle_metrics.json`: an array with an object a request.

Read in inference-perf 0.7 (`reportgen/base.py`, `apis/base.py`); before, the numbers of tokens and
their times stood in `info` itself. Times are monotonic seconds of the client.

Versions that counted each chunk's beginning-of-sequence token list about twice as many token times
as there are tokens; the first and the last time are right all the same. A server's own count of
tokens is preferred to the tokenizer's, which counts those of the text that came: tokens that leave
no text are not among them. Where even two times a token are fewer than there are, the count is
wrong.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from bayeslat.traces.formats.content import refuse
from bayeslat.traces.importers.client import per_token
from bayeslat.traces.importers.importer import Batch, Importer, Tally
from bayeslat.traces.importers.json_rows import decode_rows
from bayeslat.traces.importers.json_stream import decode, open_json
from bayeslat.traces.importers.vocabulary import columns_named

__all__ = ["IMPORTER"]

_MODEL = re.compile(r'"model"\s*:\s*"((?:[^"\\]|\\.)*)"')
_TOO_FEW = "fewer tokens than came, counted in the text without the server's usage"
_RETRIED = "sent again after a fault of the connection, which its times include"
_SPARE = 2.0  # tokens: of the end, which some count
_AGAIN = "run inference-perf again with report.request_lifecycle.per_request: true"


# A request has hundreds of token times, of which two are needed: the others stay text.
_NO_TIMES = msgspec.Raw(b"[]")


class _Usage(msgspec.Struct):
    prompt_tokens: float | None = None
    completion_tokens: float | None = None


class _Text(msgspec.Struct):
    input_tokens: float | None = None


class _RequestMetrics(msgspec.Struct):
    text: _Text = msgspec.field(default_factory=_Text)


class _ResponseMetrics(msgspec.Struct):
    output_tokens: float | None = None
    output_token_times: msgspec.Raw = _NO_TIMES
    server_usage: _Usage | None = None


class _Info(msgspec.Struct):
    request_metrics: _RequestMetrics = msgspec.field(default_factory=_RequestMetrics)
    response_metrics: _ResponseMetrics | None = None
    input_tokens: float | None = None  # until 0.4: here
    output_tokens: float | None = None
    output_token_times: msgspec.Raw = _NO_TIMES
    retries_attempted: float | None = None


class _Request(msgspec.Struct):
    start_time: float
    end_time: float
    info: _Info | None = None
    request: Any = None
    error: Any = None


def _read(path: Path, tally: Tally) -> Iterator[Batch]:
    first, found = 0, False
    with open_json(path) as stream:
        if stream.peek() == "{":
            raise refuse(path, f"holds aggregates only, not a list of requests; {_AGAIN}")
        for text in stream.batches():
            found = True
            rows = decode_rows(text, tally, _Request)
            if rows:
                yield _batch(rows, first)
            first += len(rows)
    if not found:
        raise refuse(path, f"holds no request; {_AGAIN}")


def _batch(rows: list[_Request], first: int) -> Batch:
    """Return requests as rows."""
    start = np.array([row.start_time for row in rows], dtype=np.float64)
    end = np.array([row.end_time for row in rows], dtype=np.float64)
    begin, last = np.array([_token_times(row) for row in rows]).reshape(-1, 2).T
    counts = np.array([_tokens(row) for row in rows], dtype=np.float64).reshape(len(rows), 2)
    output = counts[:, 1]
    return Batch(
        n_rows=len(rows),
        columns={
            "model": [_model(row) for row in rows],
            "request_id": np.arange(first, first + len(rows)).astype(str).tolist(),
            "observed_by": "client",
            "t_ttft_ms": 1e3 * (begin - start),
            "t_tpot_ms": per_token(1e3 * (last - begin), output),
            "t_e2e_ms": 1e3 * (end - start),
            "prompt_tokens": counts[:, 0],
            "output_tokens": output,
        },
        start_s=start,
        end_s=end,
        refused=list(map(_refused, rows, output)),
    )


def _refused(row: _Request, output: float) -> str | None:
    """Say why a request is left out."""
    if row.error is not None:
        return "request failed"
    if row.info is not None and row.info.retries_attempted:
        return _RETRIED
    times = _times(row)
    return _TOO_FEW if times and times.count(b",") + 1 > 2 * (output + _SPARE) else None


def _token_times(row: _Request) -> tuple[float, float]:
    """Return when the first and the last token came, s; NaN if the response was not streamed."""
    times = _times(row)
    return _number(times.partition(b",")[0]), _number(times.rpartition(b",")[2])


def _times(row: _Request) -> bytes:
    """Return the times of the tokens as text, without brackets."""
    if row.info is None:
        return b""
    found = row.info.response_metrics or row.info
    return bytes(found.output_token_times).strip(b"[] \t\r\n")


def _number(text: bytes) -> float:
    """Return a number, NaN where there is none."""
    try:
        return float(text)
    except ValueError:
        return math.nan


def _tokens(row: _Request) -> tuple[float | None, float | None]:
    """Return the tokens of the prompt and of the output."""
    info = row.info
    if info is None:
        return None, None
    prompt, output = info.input_tokens, info.output_tokens
    if prompt is None:
        prompt = info.request_metrics.text.input_tokens
    if info.response_metrics is not None:
        usage = info.response_metrics.server_usage or _Usage()
        output = _first(usage.completion_tokens, info.response_metrics.output_tokens)
        prompt = _first(usage.prompt_tokens, prompt)
    return prompt, output


def _first(*values: float | None) -> float | None:
    return next((value for value in values if value is not None), None)


def _model(row: _Request) -> str | None:
    """Return the model that a request asks for: its body is JSON, in a text."""
    if isinstance(row.request, dict):
        model = row.request.get("model")
        return model if isinstance(model, str) else None
    found = _MODEL.search(row.request) if isinstance(row.request, str) else None
    return _text(found[1]) if found else None


def _text(quoted: str) -> str:
    """Return what stands between the quotes of a JSON text."""
    try:
        return decode(f'"{quoted}"'.encode(), str)
    except ValueError:
        return quoted


IMPORTER = Importer(
    name="inference_perf",
    title="inference-perf, per_request_lifecycle_metrics.json",
    patterns=("*per_request_lifecycle_metrics*.json",),
    columns=columns_named(
        "model",
        "request_id",
        "observed_by",
        "t_ttft_ms",
        "t_tpot_ms",
        "t_e2e_ms",
        "prompt_tokens",
        "output_tokens",
    ),
    definitions={
        "t_ttft_ms": "client: from sending the request to its first token",
        "t_tpot_ms": "client: from the first token to the last, by output tokens - 1",
        "t_e2e_ms": "client: from sending the request to the end of its response",
    },
    read=_read,
)
