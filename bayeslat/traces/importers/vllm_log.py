"""Reading a file of the vLLM logger: what the server is, its steps and its requests."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bayeslat.errors import TraceError
from bayeslat.traces.formats.content import refuse
from bayeslat.traces.importers.importer import Tally

__all__ = ["Log", "Rows", "read_log"]

_SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of one kind.

    Attributes
    ----------
    cells : sequence of dict, shape (row,)
        What is known of each.
    """

    cells: Sequence[Mapping[str, Any]]

    def __len__(self) -> int:
        return len(self.cells)

    def numbers(self, name: str, missing: float = np.nan) -> NDArray[np.float64]:
        """Return a column, shape (row,)."""
        return np.array([row.get(name, missing) for row in self.cells], dtype=np.float64)

    def counts(self, name: str) -> NDArray[np.int64]:
        """Return a column of whole numbers, 0 where nothing is told, shape (row,)."""
        return np.array([row.get(name, 0) for row in self.cells], dtype=np.int64)

    def texts(self, name: str) -> list[str | None]:
        """Return a column of text, shape (row,)."""
        return [row.get(name) for row in self.cells]


@dataclass(frozen=True, slots=True)
class Log:
    """A file of the logger.

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


def read_log(path: Path, tally: Tally) -> Log:
    """Read a file of the vLLM logger.

    Parameters
    ----------
    path : Path
    tally : Tally
        Is told of lines that are no rows, rows that the logger lost, and steps without a time.

    Returns
    -------
    Log

    Raises
    ------
    TraceError
        The file cannot be opened, does not begin with the row of a server, or is of another
        version.
    """
    kinds: dict[str, list[Mapping[str, Any]]] = {"server": [], "step": [], "request": []}
    try:
        with path.open("rb") as file:
            for line in file:
                row = _row(line)
                if row is None:
                    tally.refuse("line is no row of the logger: cut short by a kill or a full disk")
                elif row["kind"] == "lost":
                    tally.refuse(
                        "the logger lost it: " + str(row.get("reason")), row.get("rows", 0)
                    )
                else:
                    kinds.setdefault(row["kind"], []).append(row)
    except OSError as error:
        raise refuse(path, f"cannot be opened ({error.strerror}); check it") from error
    _check(path, kinds["server"])
    return Log(kinds["server"][0], _timed(kinds["step"], tally), Rows(kinds["request"]))


def _row(line: bytes) -> dict[str, Any] | None:
    try:
        row = json.loads(line)
    except ValueError:
        return None
    return row if isinstance(row, dict) and isinstance(row.get("kind"), str) else None


def _check(path: Path, servers: Sequence[Mapping[str, Any]]) -> None:
    """Refuse what another tool, or another version of the logger, has written."""
    error: TraceError | None = None
    if not servers:
        error = refuse(
            path,
            "does not say which server it is of, so the vLLM logger has not written it, or it was "
            "cut at its beginning; name a file as the logger wrote it",
        )
    elif servers[0].get("schema") != _SCHEMA:
        error = refuse(
            path,
            f"is of version {servers[0].get('schema')!r} of the logger's files, and this bayeslat "
            f"reads version {_SCHEMA}; use the bayeslat that wrote it, or a later one",
        )
    if error is not None:
        raise error


def _timed(steps: Sequence[Mapping[str, Any]], tally: Tally) -> Rows:
    """Return the steps that were timed and computed something, by number."""
    by_number: dict[int, Mapping[str, Any]] = {}
    for step in steps:
        if step.get("dummy"):
            tally.refuse("step without requests, that only keeps the other engines company")
        elif "iteration" not in step or "elapsed_ms" not in step:
            tally.refuse("step without a time: idle, or without --enable-logging-iteration-details")
        else:
            by_number[step["iteration"]] = step
    return Rows([by_number[number] for number in sorted(by_number)])
