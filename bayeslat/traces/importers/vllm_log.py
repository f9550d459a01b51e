"""Reading a file of the vLLM logger: what the server is, its steps and its requests."""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bayeslat.traces.formats.content import refuse
from bayeslat.traces.importers.copies import without_copies
from bayeslat.traces.importers.front_ends import find_met, find_steps, series_key, tell_of_missing
from bayeslat.traces.importers.importer import Tally
from bayeslat.traces.importers.json_stream import decode

__all__ = ["Log", "Rows", "engine_series", "read_log"]

_SCHEMA = 1
_LONGEST_ROW = 1 << 24  # bytes of the row of a server
_WHOLE = 2**53  # up to here float64 holds every whole number
_BATCH = (
    *("iteration", "elapsed_ms", "prefill_requests", "prefill_tokens"),
    *("decode_requests", "decode_tokens", "encoder_inputs", "encoder_tokens"),
)
_STATE = ("running", "waiting", "kv_usage")
_STEP = ("at_s", *_BATCH, *_STATE, "gap_ms")
_REQUEST = (
    *("at_s", "arrived_at_s", "queued_at_s", "iteration"),
    *("queueing_ms", "prefill_ms", "decode_ms", "e2e_ms"),
    *("prompt_tokens", "cached_tokens", "output_tokens", "preemptions"),
    *(f"met_{name}" for name in (*_BATCH, *_STATE)),
)


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of one kind.

    Attributes
    ----------
    columns : mapping of str to ndarray of float, shape (row,)
        NaN where nothing is told; those of which nothing is told in any row are left out.
    ids : sequence of str or None, shape (row,)
    """

    columns: Mapping[str, NDArray[np.float64]]
    ids: Sequence[str | None]

    def __len__(self) -> int:
        return len(self.ids)

    def numbers(self, name: str) -> NDArray[np.float64]:
        """Return a column, shape (row,)."""
        return self.columns[name] if name in self.columns else np.full(len(self), np.nan)

    def counts(self, name: str) -> NDArray[np.int64]:
        """Return a column of whole numbers, 0 where nothing is told, shape (row,)."""
        return np.nan_to_num(self.numbers(name)).astype(np.int64)

    def part(self, rows: slice) -> Rows:
        """Return some of the rows, without a copy."""
        columns = {name: column[rows] for name, column in self.columns.items()}
        return Rows(columns, self.ids[rows])


@dataclass(frozen=True, slots=True)
class Log:
    """What the logger wrote of an engine.

    Attributes
    ----------
    server : dict
        Its first row.
    steps : Rows
        In the order of their numbers, each number once.
    requests : Rows
        In the order in which they finished.
    """

    server: Mapping[str, Any]
    steps: Rows
    requests: Rows

    @property
    def can_be_counted_back(self) -> NDArray[np.bool_]:
        """Whether the steps of each request follow from its last. Shape (request,).

        They do where no preemption interrupted it, and it is told with its last step; where steps
        decode several tokens at once (speculation), nothing can be counted back.
        """
        requests = self.requests
        counted: NDArray[np.bool_] = (
            np.isfinite(requests.numbers("iteration"))
            & (requests.counts("preemptions") == 0)
            & (requests.counts("output_tokens") > 0)
            & (not self.told("config").get("speculative_tokens"))
        )
        return counted

    def told(self, part: str) -> Mapping[str, Any]:
        """Return a part of what the server is, such as `config`; empty if it is not told."""
        found = self.server.get(part)
        return found if isinstance(found, dict) else {}


@dataclass(slots=True)
class _Growing:
    """Rows while they are read: 8 bytes a number."""

    names: tuple[str, ...]
    columns: list[array[float]] = field(default_factory=list)
    ids: list[str | None] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.columns = [array("d") for _ in self.names]

    def add(self, row: Mapping[str, Any]) -> bool:
        """Take a row; tells whether its cells are what they should be."""
        if not all(_is_cell(name, row[name]) for name in self.names if name in row):
            return False
        for name, column in zip(self.names, self.columns, strict=True):
            column.append(row.get(name, math.nan))
        request = row.get("id")
        self.ids.append(request if isinstance(request, str) else None)
        return True

    def finished(self) -> Rows:
        """Return the rows, without a copy: none can be added any more."""
        columns = {
            name: np.frombuffer(column, dtype=np.float64)
            for name, column in zip(self.names, self.columns, strict=True)
        }
        told = {name: column for name, column in columns.items() if not np.isnan(column).all()}
        return Rows(told, self.ids)


def _is_cell(name: str, cell: object) -> bool:
    """Tell whether a cell is a number that the logger could have written."""
    if isinstance(cell, bool) or not isinstance(cell, int | float):
        return False
    if math.isnan(cell):  # not told
        return True
    return abs(cell) < _WHOLE and (cell >= 0 or name.endswith(("_ms", "_s")))


def read_log(files: Sequence[Path], tally: Tally) -> Log:
    """Read the files of one engine of the vLLM logger.

    Parameters
    ----------
    files : sequence of Path
        In the order in which they were written; where the engine answered to several front ends,
        of all of them.
    tally : Tally
        Is told of lines that are no rows, rows that the logger lost, steps without a time, and
        front ends whose files are missing.

    Returns
    -------
    Log

    Raises
    ------
    TraceError
        The file cannot be opened, does not begin with the row of a server, is of another version,
        or of several servers.
    """
    steps, requests = _Growing(_STEP), _Growing(_REQUEST)
    servers = [_read_file(path, steps, requests, tally) for path in files]
    missing = tell_of_missing(servers)
    if missing is not None:
        tally.note(missing)
    ordered, finished = _by_number(steps.finished()), requests.finished()
    if len({each.get("run") for each in servers}) > 1:
        finished = _of_all_front_ends(finished, ordered, bool(servers[0].get("file")))
    return Log(servers[0], ordered, finished)


def _of_all_front_ends(requests: Rows, steps: Rows, starts_late: bool) -> Rows:
    """Return the requests of all front ends as one that had been told of every step has them."""
    order = np.argsort(requests.numbers("at_s"), kind="stable")
    columns = {name: column[order] for name, column in requests.columns.items()}
    rows = Rows(columns, [requests.ids[place] for place in order.tolist()])
    at_s, told = steps.numbers("at_s"), rows.numbers("iteration")
    found = find_steps(rows.numbers("at_s"), at_s, steps.numbers("iteration"))
    columns["iteration"] = np.where(np.isnan(told), found, told)
    met = find_met(rows.numbers("queued_at_s"), at_s, steps.numbers("elapsed_ms"))
    for name in (*_BATCH, *_STATE):
        # Before the first step a server is idle, if its first file is at hand.
        before = 0.0 if name in _STATE and not starts_late else np.nan
        columns[f"met_{name}"] = np.append(steps.numbers(name), before)[met]
    return Rows(columns, rows.ids)


def _read_file(path: Path, steps: _Growing, requests: _Growing, tally: Tally) -> Mapping[str, Any]:
    """Add the rows of a file, and return its first, which says what the server is."""
    try:
        with path.open("rb") as file:
            server = _server(path, file.readline())
            for line in file:
                row = _row(line)
                kind = row.get("kind")
                if kind == "server":
                    _check_goes_on(path, server, row)
                elif kind == "lost":
                    _count_lost(row, tally)
                elif kind == "step" and _is_idle(row, tally):
                    continue
                elif kind not in {"step", "request", "end"} or (
                    (kind == "step" and not steps.add(row))
                    or (kind == "request" and not requests.add(row))
                ):
                    tally.refuse("line is no row of the logger: cut short by a kill or a full disk")
    except OSError as error:
        raise refuse(path, f"cannot be opened ({error.strerror}); check it") from error
    return server


def engine_series(files: Sequence[Path]) -> list[tuple[Path, ...]]:
    """Put the files of each engine together: of a log that went on, and of all front ends.

    Parameters
    ----------
    files : sequence of Path

    Returns
    -------
    list of tuple of Path
        In the order in which they were written, copies once; a file that does not say of which
        engine it is, by itself.
    """
    series: dict[object, list[tuple[float, Path]]] = {}
    for path in without_copies(files):
        row = _first_row(path)
        number, key = row.get("file", 0), series_key(row, path)
        series.setdefault(key, []).append((0 if key is path else number, path))
    return [tuple(path for _, path in sorted(part)) for part in series.values()]


def _first_row(path: Path) -> Mapping[str, Any]:
    """Return the first row of a file; nothing if there is none."""
    try:
        with path.open("rb") as file:
            return _row(file.readline(_LONGEST_ROW))
    except OSError:
        return {}


def _row(line: bytes) -> dict[str, Any]:
    """Return what a line says; nothing if it is no object."""
    try:
        return decode(line, dict[str, Any])
    except ValueError:
        return {}


def _server(path: Path, line: bytes) -> Mapping[str, Any]:
    """Return the first row; refuse what another tool or version has written."""
    row = _row(line)
    if row.get("kind") != "server":
        raise refuse(
            path,
            "does not say which server it is of, so the vLLM logger has not written it, or it was "
            "cut at its beginning; name a file as the logger wrote it",
        )
    if row.get("schema") != _SCHEMA:
        raise refuse(
            path,
            f"is of version {row.get('schema')!r} of the logger's files, and this bayeslat reads "
            f"version {_SCHEMA}; use the bayeslat that wrote it, or a later one",
        )
    return row


def _check_goes_on(path: Path, server: Mapping[str, Any], row: Mapping[str, Any]) -> None:
    """Refuse a further row of a server, unless it begins the next file of the same series.

    Files that were put together to one would have steps under the same numbers, and one model.
    """
    if any(row.get(name) != server.get(name) for name in ("run", "engine")):
        raise refuse(
            path,
            "holds the logs of several servers or engines, whose rows cannot be told apart; name "
            "the files as the logger wrote them",
        )


def _count_lost(row: Mapping[str, Any], tally: Tally) -> None:
    rows = row.get("rows")
    tally.refuse(f"the logger lost it: {row.get('reason')}", rows if isinstance(rows, int) else 1)


def _is_idle(step: Mapping[str, Any], tally: Tally) -> bool:
    """Tell whether a step computed nothing, or nobody timed it."""
    if step.get("dummy"):
        tally.refuse("step without requests, that only keeps the other engines company")
        return True
    if "iteration" not in step or "elapsed_ms" not in step:
        tally.refuse("step without a time: idle, or without --enable-logging-iteration-details")
        return True
    return False


def _by_number(steps: Rows) -> Rows:
    """Return steps in the order of their numbers, the last of each number."""
    numbers = steps.numbers("iteration")[::-1]
    _, last = np.unique(numbers, return_index=True)
    rows = len(numbers) - 1 - last
    columns = {name: column[rows] for name, column in steps.columns.items()}
    return Rows(columns, [None] * len(rows))
