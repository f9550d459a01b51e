"""JSON Lines: one JSON object on each line, a row; names that a line leaves out are missing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from pydantic_core import PydanticSerializationError, from_json, to_json

from bayeslat.errors import InputError
from bayeslat.traces.formats.content import Column, FileContent, refuse

__all__ = ["SUFFIXES", "read", "write", "write_batches"]

SUFFIXES = (".jsonl", ".ndjson")

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
# Rows are parsed in chunks, so that they need not all be held as objects at once.
_CHUNK_ROWS = 10_000
_NO_NUMBER = {"nan": "null", "inf": "Infinity", "-inf": "-Infinity"}
_SHOWN = 3


def read(path: Path) -> FileContent:
    """Read a JSON Lines file. Empty lines are skipped.

    Raises
    ------
    TraceError
        The file cannot be opened, or lines are not a JSON object (all of them are named).
    """
    try:
        lines = path.read_bytes().removeprefix(_BYTE_ORDER_MARK).split(b"\n")
    except OSError as error:
        raise refuse(path, f"cannot be opened ({error.strerror}); check it") from error
    cells: dict[str, list[Any]] = {}
    n_rows = 0
    wrong: list[tuple[int, str]] = []
    for start in range(0, len(lines), _CHUNK_ROWS):
        rows = list(_parse(lines[start : start + _CHUNK_ROWS], start + 1, wrong))
        _append(cells, rows, n_rows)
        n_rows += len(rows)
    if wrong:
        raise refuse(
            path,
            'every line must be one JSON object such as {"gpu": "h100_sxm", "batch_size": 1}; '
            "correct or remove the line",
            rows=tuple(number for number, _ in wrong),
            found=tuple(f"line {number}: {reason}" for number, reason in wrong[: _SHOWN + 1]),
        )
    return FileContent({name: _column(column) for name, column in cells.items()}, n_rows)


def write(frame: pd.DataFrame, path: Path) -> None:
    """Write a frame, without its index; missing cells are null.

    Raises
    ------
    InputError
        A cell has no form in JSON.
    """
    try:
        with path.open("w", encoding="utf-8", newline="\n") as file:
            file.writelines(_lines(frame))
    except PydanticSerializationError as error:
        raise InputError(
            f"the table cannot be written as JSON Lines ({error}); "
            "convert its columns to numbers, text or truth values"
        ) from error


def write_batches(schema: pa.Schema, tables: Iterable[pa.Table], path: Path) -> None:
    """Write tables of one schema one below the other."""
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for table in tables:
            # Whole numbers stay whole where cells are missing.
            file.writelines(_lines(table.to_pandas(integer_object_nulls=True)))


def _parse(
    lines: list[bytes], first: int, wrong: list[tuple[int, str]]
) -> Iterator[dict[str, Any]]:
    """Give the objects on lines that are counted from `first`; note lines that hold none."""
    for number, line in enumerate(lines, start=first):
        if not line.strip():
            continue
        try:
            value = from_json(line)
        except ValueError as error:
            wrong.append((number, str(error).replace(" at line 1 column", " at column")))
            continue
        if isinstance(value, dict):
            yield value
        else:
            wrong.append((number, f"a {type(value).__name__}, not an object"))


def _append(cells: dict[str, list[Any]], rows: list[dict[str, Any]], n_rows: int) -> None:
    """Put rows below the `n_rows` that the columns hold; a name that is new was missing so far."""
    for name in dict.fromkeys(chain.from_iterable(rows)):
        cells.setdefault(name, [None] * n_rows)
    for name, column in cells.items():
        column.extend([row.get(name) for row in rows])


def _column(cells: list[Any]) -> Column:
    """Return cells as one Arrow type, or as they are when they have several."""
    try:
        return pa.chunked_array([pa.array(cells)])
    except (pa.ArrowException, OverflowError):
        mixed = np.empty(len(cells), dtype=object)
        mixed[:] = cells
        return mixed


def _lines(frame: pd.DataFrame) -> Iterator[str]:
    """Give each row as a line of JSON."""
    names = (_text(name).replace("%", "%%") for name in frame.columns)
    line = "{" + ", ".join(f"{name}: %s" for name in names) + "}\n"
    cells = [_texts(frame[name]) for name in frame.columns]
    return map(line.__mod__, zip(*cells, strict=True))


def _texts(column: pd.Series) -> list[str]:
    """Return the cells of a column as JSON, missing ones as null."""
    values = column.tolist()
    if set(map(type, values)) <= {int, float}:
        # The shortest text that gives the same number back.
        return [_NO_NUMBER.get(text, text) for text in map(repr, values)]
    missing = column.isna().tolist()
    return ["null" if gone else _text(value) for value, gone in zip(values, missing, strict=True)]


def _text(value: object) -> str:
    """Return one cell as JSON."""
    bare = value.tolist() if isinstance(value, np.ndarray | np.generic) else value
    return to_json(bare).decode()
