"""BLIS TraceV2: a header in YAML and the requests in CSV (`blis observe`).

Read in inference-sim (`sim/workload/tracev2.go`, `cmd/observe_cmd.go`). Times are µs of the client.
Columns are conditional, so cells are found by the header row. Requests stand in the order in which
they ended; those of the warm-up are none of them, although the header says how many there were.
Traces that BLIS simulated (mode `generated` or `replayed`) are no measurements.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import yaml
from numpy.typing import NDArray

from bayeslat.errors import TraceError
from bayeslat.traces.formats.content import refuse
from bayeslat.traces.importers.client import FASTEST_TOKEN_MS, per_token
from bayeslat.traces.importers.copies import without_copies
from bayeslat.traces.importers.importer import Batch, Importer, Tally
from bayeslat.traces.importers.tables import numbers, read_table, texts
from bayeslat.traces.importers.vocabulary import columns_named

__all__ = ["IMPORTER"]

type Numbers = NDArray[np.float64]

_VERSIONS = (2, 3)
_MICROSECONDS = ("us", "µs", "microseconds", "microsecond")
_HEADER_BYTES = 1 << 20
_LATEST_US = 1e17  # the year 5138
_NEEDED = ("request_id", "send_time_us", "first_chunk_time_us", "last_chunk_time_us", "status")


def _read(path: Path, tally: Tally) -> Iterator[Batch]:
    header_path, data_path = _pair(path)
    header = _read_header(header_path)
    constants = _constants(header)
    network = header.get("network")
    if isinstance(network, dict) and network.get("measured_rtt_ms"):
        tally.note(
            f"{header_path.name}: times include the network, {network['measured_rtt_ms']} ms there "
            "and back"
        )
    if tally.collected_at is None and header.get("created_at"):
        tally.collected_at = str(header["created_at"])
    per_token_ms, sent_us = [np.empty(0)], [np.empty(0)]
    for table in read_table(data_path, tally, _NEEDED):
        batch = _batch(table, constants)
        with np.errstate(invalid="ignore", divide="ignore"):
            each = batch.columns["t_e2e_ms"] / batch.columns["output_tokens"]
        per_token_ms.append(each[[refused is None for refused in batch.refused or ()]])
        sent_us.append(numbers(table, "send_time_us"))
        yield batch
    _check_unit(np.concatenate(per_token_ms), np.concatenate(sent_us), data_path)


def _check_unit(per_token_ms: Numbers, sent_us: Numbers, path: Path) -> None:
    """Refuse times that are no µs: answers that no server gives so soon, or of a far future."""
    typical, sent = _median(per_token_ms), _median(sent_us)
    if typical < FASTEST_TOKEN_MS:
        problem = f"answers would take {typical:.2g} ms a token, from the request to the end"
    elif sent > _LATEST_US:
        problem = f"requests would be sent at {sent:.3g} µs, which are nanoseconds since 1970"
    else:
        return
    raise refuse(path, f"its times are no µs: {problem}; name the files as BLIS wrote them")


def _median(values: Numbers) -> float:
    """Return the middle of the values that are finite and above 0; NaN without any."""
    good = values[np.isfinite(values) & (values > 0)]
    return float(np.median(good)) if len(good) else np.nan


def _pair(path: Path) -> tuple[Path, Path]:
    """Return the header and the data, of which one was named."""
    if path.suffix.lower() in (".yaml", ".yml"):
        others, wanted = _siblings(path, (".csv",)), "data in CSV"
    else:
        others, wanted = _siblings(path, (".yaml", ".yml")), "header in YAML"
    if len(others) != 1:
        found = f"{len(others)} could be it" if others else "there is none"
        raise refuse(
            path,
            f"its {wanted} must stand beside it under the same name ({found}); name the two "
            "trace.yaml and trace.csv",
        )
    return (path, others[0]) if wanted.startswith("data") else (others[0], path)


def _siblings(path: Path, suffixes: tuple[str, ...]) -> list[Path]:
    """Return the files beside that could belong to one: of its name, or the only ones there."""
    there = sorted(
        other
        for other in path.parent.iterdir()
        if other.suffix.lower() in suffixes and other.is_file()
    )
    same = [other for other in there if _bare(other) == _bare(path)]
    return same or there


def _bare(path: Path) -> str:
    """Return a name without what tells header and data apart."""
    stem = path.stem.lower()
    for word in ("header", "data"):
        stem = stem.removesuffix(word).removesuffix("_").removesuffix("-").removesuffix(".")
    return stem


def _read_header(path: Path) -> Mapping[str, Any]:
    """Return the header, checked."""
    try:
        with path.open("rb") as file:
            header = yaml.safe_load(file.read(_HEADER_BYTES))
    except OSError as error:
        raise refuse(path, f"cannot be opened ({error.strerror}); check it") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueErrors of dates and text
        raise refuse(path, f"is no YAML ({error}); name the header of the trace") from error
    if not isinstance(header, dict) or "trace_version" not in header:
        raise refuse(path, "has no 'trace_version', as headers of BLIS traces have; check the file")
    if header["trace_version"] not in _VERSIONS:
        raise refuse(
            path,
            f"is of trace_version {header['trace_version']}, and 2 and 3 can be read; write it "
            "with another version of BLIS",
        )
    if str(header.get("time_unit", "us")).lower() not in _MICROSECONDS:
        raise refuse(
            path,
            f"time_unit is {header['time_unit']!r}, and the columns are named _us; correct it",
        )
    if header.get("mode") not in (None, "", "real"):
        raise refuse(
            path,
            f"mode is {header['mode']!r}: BLIS simulated these times, nobody measured them; import "
            "a trace of `blis observe`, whose mode is 'real'",
        )
    return header


def _constants(header: Mapping[str, Any]) -> dict[str, str | int]:
    """Return what holds for all requests."""
    found: dict[str, str | int] = {"observed_by": "client"}
    server = header.get("server")
    if not isinstance(server, dict):
        return found
    for name in ("tensor_parallel", "max_num_seqs"):
        value = server.get(name)
        if isinstance(value, int) and value > 0:
            found[name] = value
    model = server.get("model")
    if isinstance(model, str) and model:
        found["model"] = model
    return found


def _batch(table: pa.Table, constants: Mapping[str, str | int]) -> Batch:
    """Return requests as rows."""
    sent, begin, last = (
        numbers(table, f"{name}_time_us") for name in ("send", "first_chunk", "last_chunk")
    )
    streamed = np.array([cell != "false" for cell in texts(table, "streaming")], dtype=bool)
    begun = np.where(streamed & (begin > 0), begin, np.nan)
    ended = np.where(last > 0, last, np.nan)
    output = numbers(table, "output_tokens")
    server, client = numbers(table, "server_input_tokens"), numbers(table, "input_tokens")
    columns: dict[str, Any] = {
        **constants,
        "request_id": texts(table, "request_id"),
        "t_ttft_ms": 1e-3 * (begun - sent),
        "t_tpot_ms": per_token(1e-3 * (ended - begun), output),
        "t_e2e_ms": 1e-3 * (ended - sent),
        "prompt_tokens": np.where(server > 0, server, client),
        "image_tokens": numbers(table, "image_tokens"),
        "output_tokens": output,
    }
    models = texts(table, "model")
    if any(models):
        columns["model"] = [model or constants.get("model") for model in models]
    return Batch(
        n_rows=table.num_rows,
        columns=columns,
        start_s=1e-6 * sent,
        end_s=1e-6 * ended,
        refused=[_refusal(status) for status in texts(table, "status")],
    )


def _refusal(status: str | None) -> str | None:
    """Return why a request is no measurement."""
    return None if status == "ok" else f"request ended as {status or 'nobody knows'}"


def _each_pair_once(files: Sequence[Path]) -> list[tuple[Path, ...]]:
    """Leave out the second of a header and its data, which are read together, and copies."""
    pairs: dict[tuple[Path, ...], Path] = {}
    for file in files:
        try:
            pair = tuple(part.resolve() for part in _pair(file))
        except TraceError:  # told when it is read
            pair = (file.resolve(),)
        pairs.setdefault(pair, file)
    # Headers of other runs may be alike: the data tell copies.
    kept = set(without_copies(list(dict.fromkeys(pair[-1] for pair in pairs))))
    return [(file,) for pair, file in pairs.items() if pair[-1] in kept]


IMPORTER = Importer(
    name="blis_trace",
    title="BLIS TraceV2 of blis observe (name the YAML header or the CSV)",
    patterns=("*.yaml", "*.yml"),
    columns=columns_named(
        "model",
        "request_id",
        "observed_by",
        "t_ttft_ms",
        "t_tpot_ms",
        "t_e2e_ms",
        "prompt_tokens",
        "image_tokens",
        "output_tokens",
        "tensor_parallel",
        "max_num_seqs",
    ),
    definitions={
        "t_ttft_ms": "client: from sending the request to its first chunk (streamed ones only)",
        "t_tpot_ms": "client: from the first chunk to the last, by output tokens - 1",
        "t_e2e_ms": "client: from sending the request to its last chunk",
    },
    read=_read,
    series=_each_pair_once,
)
