"""Parquet: the preferred format, which keeps types exactly and detects damage."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from bayeslat.traces.formats.content import FileContent, check_unique, refuse, to_arrow

__all__ = ["METADATA_KEY", "RESULT_KEY", "SUFFIXES", "read", "write", "write_batches"]

SUFFIXES = (".parquet", ".pq")
METADATA_KEY = b"bayeslat"  # of a trace: its provenance
RESULT_KEY = b"bayeslat_result"  # of a result: what it is an answer to

# pandas stores an index without a name under this one.
_PANDAS_INDEX = re.compile(r"__index_level_\d+__")


def read(path: Path) -> FileContent:
    """Read a Parquet file.

    Raises
    ------
    TraceError
        The file is cut short, damaged or no Parquet, or two columns share a name.
    """
    try:
        # A whole file, not a dataset: folders such as `gpu=h100/` add no columns.
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            table = file.read()
    except (pa.ArrowException, OSError, ValueError) as error:
        # Arrow explains itself over several lines; the first one says what is wrong.
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        message = f"cannot be read as Parquet ({reason}); it is damaged or cut short, copy it again"
        raise refuse(path, message) from error
    check_unique(path, table.column_names)
    columns = {
        name: _plain(table.column(name))
        for name in table.column_names
        if not _PANDAS_INDEX.fullmatch(name)
    }
    return FileContent(columns, table.num_rows, (table.schema.metadata or {}).get(METADATA_KEY))


def write(frame: pd.DataFrame, path: Path, metadata: Mapping[bytes, bytes] | None = None) -> None:
    """Write a frame, without its index, and entries of JSON by key."""
    table = to_arrow(frame)
    pq.write_table(table.replace_schema_metadata(metadata or {}), path, write_page_checksum=True)


def write_batches(
    schema: pa.Schema,
    tables: Iterable[pa.Table],
    path: Path,
    metadata: Mapping[bytes, bytes] | None = None,
) -> None:
    """Write tables of one schema one below the other, and entries of JSON by key."""
    stored = schema.with_metadata(metadata or {})
    with pq.ParquetWriter(path, stored, write_page_checksum=True) as writer:
        for table in tables:
            writer.write_table(table.cast(stored))


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return a column with dictionary codes and decimals replaced by plain values."""
    if pa.types.is_dictionary(column.type):
        return column.cast(column.type.value_type)
    if pa.types.is_decimal(column.type):
        return column.cast(pa.float64())
    return column
