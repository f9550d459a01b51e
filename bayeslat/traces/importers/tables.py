"""Tables of other tools, CSV and Parquet, some rows at a time."""

from __future__ import annotations

import codecs
import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from bayeslat.traces.formats.content import check_unique, refuse
from bayeslat.traces.importers.importer import Tally

__all__ = ["numbers", "read_table", "texts"]

_BLOCK_BYTES = 1 << 22
_BATCH_ROWS = 1 << 16
_LFS = b"version https://git-lfs"


def read_table(path: Path, tally: Tally, needed: tuple[str, ...] = ()) -> Iterator[pa.Table]:
    """Read a table in pieces.

    Parameters
    ----------
    path : Path
        Parquet if its name ends so; otherwise CSV, whose cells are all text.
    tally : Tally
        Counts the rows of CSV that have more or fewer cells than the header, and one cut short.
    needed : tuple of str
        Columns without which it is no table of the format.

    Yields
    ------
    Table

    Raises
    ------
    TraceError
        The file cannot be read, or lacks a column.
    """
    parquet = path.suffix.lower() in (".parquet", ".pq")
    try:
        with path.open("rb") as file:
            if file.read(len(_LFS)) == _LFS:
                raise refuse(
                    path, "is a pointer of Git LFS, not the file; get it with git lfs pull"
                )
        for table in _parquet(path) if parquet else _csv(path, tally):
            _check_columns(path, table.column_names, needed)
            yield table
    except (pa.ArrowException, csv.Error) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise refuse(
            path, f"cannot be read ({reason}); it is damaged, cut short or no table, copy it again"
        ) from error
    except OSError as error:
        raise refuse(path, f"cannot be opened ({error.strerror or error}); check it") from error


def numbers(table: pa.Table, name: str) -> NDArray[np.float64]:
    """Return a column as numbers, shape (row,); NaN where it is missing or a cell is no number."""
    if name not in table.column_names:
        return np.full(table.num_rows, np.nan)
    column = table[name]
    try:
        return np.asarray(column.cast(pa.float64()).to_numpy(), dtype=np.float64)
    except pa.ArrowException:
        cells = pd.to_numeric(pd.Series(column.to_pylist(), dtype=object), errors="coerce")
        return cells.to_numpy(dtype=np.float64)


def texts(table: pa.Table, name: str) -> list[str | None]:
    """Return a column as text, shape (row,); None where it is missing or empty."""
    if name not in table.column_names:
        return [None] * table.num_rows
    return [str(cell) if cell not in (None, "") else None for cell in table[name].to_pylist()]


def _parquet(path: Path) -> Iterator[pa.Table]:
    with pq.ParquetFile(path) as file:
        check_unique(path, file.schema_arrow.names)
        for batch in file.iter_batches(_BATCH_ROWS):
            yield pa.Table.from_batches([batch])


def _csv(path: Path, tally: Tally) -> Iterator[pa.Table]:
    def note(row: pa_csv.InvalidRow) -> str:
        tally.refuse("row with another number of cells than the header")
        return "skip"

    names = _header(path)
    is_cut = _check_text(path, len(names))
    reader = pa_csv.open_csv(
        path,
        read_options=pa_csv.ReadOptions(block_size=_BLOCK_BYTES, use_threads=False),
        parse_options=pa_csv.ParseOptions(newlines_in_values=True, invalid_row_handler=note),
        convert_options=pa_csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=True
        ),
    )
    held = None
    for batch in reader:
        if held is not None:
            yield held
        held = pa.Table.from_batches([batch])
    if held is not None and is_cut:
        # Its last number may lack digits, which nothing would tell.
        tally.refuse("last row without an end of line, which may be cut short")
        held = held.slice(0, held.num_rows - 1)
    if held is not None:
        yield held


def _check_text(path: Path, cells: int) -> bool:
    """Refuse what is no text; tell whether the last row that can be read is a line without end.

    One with fewer cells than the header is no row.
    """
    decoder = codecs.getincrementaldecoder("utf-8")()
    quotes, tail = 0, b""
    with path.open("rb") as file:
        try:
            while piece := file.read(_BLOCK_BYTES):
                decoder.decode(piece)
                quotes += piece.count(b'"')
                tail = (tail + piece).rpartition(b"\n")[2]
            decoder.decode(b"", final=True)
        except UnicodeDecodeError as error:
            raise refuse(path, "is no text; name a CSV file in UTF-8") from error
    if quotes % 2:
        message = 'a quote is not closed, or the file is cut short; inside a cell write " as ""'
        raise refuse(path, message)
    found = next(csv.reader([tail.decode("utf-8")]), [])
    return bool(tail.strip()) and (len(found) >= cells or tail.count(b'"') % 2 == 1)


def _header(path: Path) -> list[str]:
    """Return the column names of a CSV file, checked."""
    with path.open("rb") as file:
        first = file.readline(1 << 16)
    text = first.decode("utf-8-sig", errors="replace").strip()
    if not text:
        raise refuse(path, "the file is empty; a CSV file starts with a header row")
    names = [name.strip().strip('"') for name in text.split(",")]
    check_unique(path, names)
    return names


def _check_columns(path: Path, names: list[str], needed: tuple[str, ...]) -> None:
    """Refuse a table that lacks a column of the format."""
    lacking = [name for name in needed if name not in names]
    if lacking:
        raise refuse(
            path,
            f"has no column {', '.join(lacking)}: it is of another format or version; its columns "
            f"are {', '.join(names[:8])}{', ...' if len(names) > 8 else ''}",
        )
