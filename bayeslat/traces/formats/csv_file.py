"""CSV: comma-separated text in UTF-8 with a header row.

A CSV file does not say which type a column has, so it is inferred: whole numbers, numbers, truth
values, otherwise text. `gpu`, `stack`, `task` and `collected_at` are always text. So are columns of
identifiers that numbers would not give back as they are written: 007, and under `id` or `..._id`
1.10, too. An empty cell and a bare NA, NaN, null or None are missing; in quotes they are text.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from bayeslat.errors import InputError
from bayeslat.traces.formats.content import FileContent, check_unique, refuse, to_arrow
from bayeslat.traces.names import COLLECTED_AT, GPU, REPEAT, STACK, TASK, is_stage_column

__all__ = ["SUFFIXES", "read", "write", "write_batches"]

SUFFIXES = (".csv",)

_TEXT_COLUMNS = frozenset({GPU, STACK, TASK, COLLECTED_AT})
_LEADING_ZERO = "^0[0-9]"
_NOT_AS_WRITTEN = r"^[+.]|^-?0[0-9]|[eE]|\.[0-9]+0$|\.$"
_MISSING = ["", "NA", "N/A", "NaN", "nan", "null", "NULL", "None"]
_TRUTH = pa.array(["true", "false", "True", "False", "TRUE", "FALSE"])
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_BLOCK_BYTES = 1 << 24
_SHOWN = 3


def read(path: Path) -> FileContent:
    """Read a CSV file.

    Raises
    ------
    TraceError
        The file cannot be opened, is no UTF-8 text, leaves a quote open, has no usable header, or
        has rows with more or fewer cells than it (all of them are named).
    """
    data = _read_text(path)
    header = _read_header(path, data)
    table = _parse(path, data, header)
    columns = {name: _typed(name, table.column(position)) for position, name in enumerate(header)}
    # The unnamed first column is the index that pandas' `to_csv` adds.
    columns.pop("", None)
    return FileContent(columns, table.num_rows)


def write(frame: pd.DataFrame, path: Path) -> None:
    """Write a frame, without its index; text stands in quotes, missing cells are empty."""
    table = to_arrow(frame)
    try:
        pa_csv.write_csv(table, path)
    except pa.ArrowException as error:
        raise InputError(
            f"the table cannot be written as CSV ({error}); "
            "write Parquet, or leave out columns that hold lists"
        ) from error


def write_batches(schema: pa.Schema, tables: Iterable[pa.Table], path: Path) -> None:
    """Write tables of one schema one below the other."""
    with pa_csv.CSVWriter(path, schema) as writer:
        for table in tables:
            writer.write_table(table)


def _read_text(path: Path) -> bytes:
    """Return the bytes of a file that is text, and not empty."""
    try:
        data = path.read_bytes().removeprefix(_BYTE_ORDER_MARK)
    except OSError as error:
        raise refuse(path, f"cannot be opened ({error.strerror}); check it") from error
    if not data.strip():
        raise refuse(path, "the file is empty; a CSV file starts with a header row")
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        message = f"line {line} is not UTF-8 text; save the file as CSV in UTF-8"
        raise refuse(path, message) from error
    if data.count(b'"') % 2:
        message = 'a quote is not closed, or the file is cut short; inside a cell write " as ""'
        raise refuse(path, message)
    return data


def _read_header(path: Path, data: bytes) -> list[str]:
    """Return the column names, checked."""
    text = io.TextIOWrapper(io.BytesIO(data), encoding="utf-8", newline="")
    try:
        header = next(cells for cells in csv.reader(text) if cells)
    except csv.Error as error:
        raise refuse(path, f"the header row cannot be read ({error}); write it again") from error
    for separator, name in ((";", "semicolons"), ("\t", "tabs")):
        if len(header) == 1 and separator in header[0]:
            message = f"the cells are separated by {name}; separate them by commas"
            raise refuse(path, message, found=(repr(header[0]),))
    check_unique(path, header)
    if "" in header[1:]:
        message = f"column {header.index('', 1) + 1} has no name; name it in the header row"
        raise refuse(path, message)
    return header


def _parse(path: Path, data: bytes, header: list[str]) -> pa.Table:
    """Return the cells below the header as text."""
    ragged: list[tuple[int, int]] = []

    def note(row: pa_csv.InvalidRow) -> str:
        # Row 1 of the parser is the header.
        ragged.append((row.number - 1, row.actual_columns))
        return "skip"

    try:
        table = pa_csv.read_csv(
            pa.BufferReader(data),
            # Only one thread counts the rows that it reports.
            read_options=pa_csv.ReadOptions(
                use_threads=False, autogenerate_column_names=True, block_size=_BLOCK_BYTES
            ),
            parse_options=pa_csv.ParseOptions(newlines_in_values=True, invalid_row_handler=note),
            convert_options=pa_csv.ConvertOptions(
                column_types={f"f{position}": pa.string() for position in range(len(header))},
                null_values=_MISSING,
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
            ),
        )
    except pa.ArrowException as error:
        raise refuse(path, f"cannot be read as CSV ({error}); write it again") from error
    if ragged:
        raise refuse(
            path,
            f"a row must have as many cells as the header, {len(header)}; "
            "add the missing ones, or quote cells that contain a comma",
            rows=tuple(row for row, _ in ragged),
            found=tuple(f"{cells} cells in row {row}" for row, cells in ragged[: _SHOWN + 1]),
        )
    if table.num_columns != len(header):
        raise refuse(path, "the header row cannot be told from the rows; write it on one line")
    return table.slice(1)


def _typed(name: str, cells: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return a column of text as whole numbers, numbers or truth values where all cells are."""
    if name in _TEXT_COLUMNS:
        return cells
    bare = pc.utf8_trim_whitespace(cells)
    # Some programs put every cell in quotes, so that an empty one is not missing to the parser.
    bare = pc.if_else(pc.equal(bare, ""), pa.scalar(None, pa.string()), bare)
    if bare.null_count == len(bare):
        return pa.chunked_array([pa.nulls(len(bare))])
    if pc.all(pc.is_in(bare, _TRUTH)).as_py() and not bare.null_count:
        return pc.equal(pc.ascii_lower(bare), "true")
    numbers = _numbers(bare)
    return cells if numbers is None or _identifies(name, bare) else numbers


def _numbers(bare: pa.ChunkedArray) -> pa.ChunkedArray | None:
    """Return text as numbers; None when it is not, or when numbers would not hold every digit."""
    if pc.any(pc.match_substring(bare, "x", ignore_case=True)).as_py():
        # Arrow reads 0x10 as a whole number, but nobody writes one so.
        return None
    for kind in (pa.int64(), pa.float64()):
        try:
            numbers = bare.cast(kind)
        except pa.ArrowInvalid:
            continue
        return None if _loses_digits(numbers, bare) else numbers
    return None


def _identifies(name: str, bare: pa.ChunkedArray) -> bool:
    """Tell whether text that reads as numbers are identifiers, which these would not give back."""
    if name == REPEAT or is_stage_column(name):
        return False
    if name == "id" or name.endswith("_id"):
        return bool(pc.any(pc.match_substring_regex(bare, _NOT_AS_WRITTEN)).as_py())
    zero = bare.filter(pc.starts_with(bare, "0"))
    return bool(pc.any(pc.match_substring_regex(zero, _LEADING_ZERO)).as_py())


def _loses_digits(numbers: pa.ChunkedArray, bare: pa.ChunkedArray) -> bool:
    """Tell whether whole numbers too long for any integer were read as floating point."""
    if pa.types.is_integer(numbers.type) or not (pc.max(pc.abs(numbers)).as_py() or 0) > 2**53:
        return False
    return bool(pc.any(pc.match_substring_regex(bare, r"^[+-]?[0-9]{17,}$")).as_py())
