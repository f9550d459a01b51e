"""Parquet files as streams: what they hold, and their rows batch by batch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from bayeslat.errors import TraceError
from bayeslat.features.spec import Spec
from bayeslat.traces import Provenance, Violation, report
from bayeslat.traces.formats.first_bytes import misnamed
from bayeslat.traces.formats.parquet import METADATA_KEY, SUFFIXES
from bayeslat.traces.names import GPU, STACK, TASK
from bayeslat.traces.provenance import parse_provenance
from bayeslat.traces.sources import Source, find_files
from bayeslat.traces.trace_record import TraceRecord

__all__ = [
    "BATCH_ROWS",
    "TraceFile",
    "labels_of",
    "measured",
    "open_files",
    "read_batches",
    "to_frame",
]

BATCH_ROWS = 262_144
"""Of a file at a time: enough for every GPU of a mixed file to fill a batch of its own."""


@dataclass(frozen=True)
class TraceFile:
    """A Parquet file that can be streamed.

    Attributes
    ----------
    path : Path
    row_groups : tuple of int
        Rows of each.
    columns : tuple of str
        Those that a spec needs and the file has.
    latencies : tuple of frozenset of str
        Columns of stages that each row group holds any value of, as far as its statistics tell.
    provenance : Provenance or None
    """

    path: Path
    row_groups: tuple[int, ...]
    columns: tuple[str, ...]
    latencies: tuple[frozenset[str], ...]
    provenance: Provenance | None

    @property
    def rows(self) -> int:
        """Of the whole file."""
        return sum(self.row_groups)

    def first_row(self, row_group: int) -> int:
        """Position of a row group's first row."""
        return sum(self.row_groups[:row_group])


def labels_of(spec: Spec) -> tuple[str, ...]:
    """Name the columns that say what a row belongs to: GPU, stack, task, what else makes a stack.

    Parameters
    ----------
    spec : Spec
    """
    return (GPU, STACK, TASK, *spec.stack_columns)


def open_files(sources: Sequence[Source], spec: Spec) -> tuple[TraceFile, ...]:
    """Look at the files that sources name.

    Parameters
    ----------
    sources : sequence of Source
        Parquet files, folders, globs.
    spec : Spec

    Returns
    -------
    tuple of TraceFile

    Raises
    ------
    TraceError
        With every file that is missing, damaged, empty or no Parquet.
    """
    paths, problems = find_files(sources)
    if not paths and not problems:
        raise TraceError("no trace was named; name at least one Parquet file, folder or glob")
    files = []
    found = list(problems)
    for path in paths:
        opened = _open(path, spec)
        if isinstance(opened, str):
            found.append(Violation(str(path), (), None, opened))
        else:
            files.append(opened)
    if found:
        raise TraceError(report(found), tuple(found))
    return tuple(files)


def read_batches(
    file: TraceFile, row_groups: Sequence[int], columns: Sequence[str] | None = None
) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Read some of a file's row groups, batch by batch.

    Parameters
    ----------
    file : TraceFile
    row_groups : sequence of int
        One after the other in the file.
    columns : sequence of str, optional
        All that the spec needs by default.

    Yields
    ------
    first : int
        Position of the batch's first row in the file.
    batch : RecordBatch

    Raises
    ------
    TraceError
        If the file is damaged.
    """
    wanted = list(file.columns if columns is None else columns)
    first = file.first_row(row_groups[0])
    try:
        with _reader(file.path) as reader:
            for batch in reader.iter_batches(
                BATCH_ROWS, row_groups=list(row_groups), columns=wanted, use_threads=False
            ):
                yield first, batch
                first += batch.num_rows
    except (pa.ArrowException, OSError) as error:
        raise TraceError(f"{file.path}: {_damage(error)}") from error


def to_frame(file: TraceFile, first: int, batch: pa.RecordBatch) -> pd.DataFrame:
    """Return a batch as a trace: its rows know where in which file they are.

    A stream has no numbers of repeats that could be compared over all of it, so each row counts as
    a measurement of its own: `repeat` numbers them.

    Parameters
    ----------
    file : TraceFile
    first : int
        Position of the batch's first row in the file.
    batch : RecordBatch

    Returns
    -------
    DataFrame, one row a measurement
    """
    plain = {
        name: column.dictionary_decode() if pa.types.is_dictionary(column.type) else column
        for name, column in zip(batch.schema.names, batch.columns, strict=True)
    }
    frame: pd.DataFrame = pa.table(plain).to_pandas()
    frame.index = pd.RangeIndex(first, first + len(frame))
    frame["repeat"] = np.arange(first, first + len(frame))
    frame.attrs["bayeslat"] = TraceRecord(
        sources=[[str(file.path), 0, file.rows]], provenance=[None]
    )
    return frame


def measured(frame: pd.DataFrame, spec: Spec) -> pd.DataFrame:
    """Return the rows that hold a latency of any stage of a spec; the others say nothing.

    Parameters
    ----------
    frame : DataFrame, one row a measurement
    spec : Spec
    """
    columns = [name for name in spec.latency_columns if name in frame]
    return frame[frame[columns].notna().any(axis=1)] if columns else frame


def _open(path: Path, spec: Spec) -> TraceFile | str:
    """Look at a file; what is wrong with it, if anything is."""
    if message := misnamed(path):
        return message
    if path.suffix not in SUFFIXES:
        return (
            f"a stream is read from Parquet; write it as Parquet first, by "
            f"write_traces(read_traces({path.name!r}), ...), or give it to `fit` as it is"
        )
    try:
        with pq.ParquetFile(path) as reader:
            metadata, schema = reader.metadata, reader.schema_arrow
    except (pa.ArrowException, OSError, ValueError) as error:
        return _damage(error)
    if metadata.num_rows == 0:
        return "the table has no rows; give one row for each measurement, or leave the file out"
    stages = spec.latency_columns
    needed = [*labels_of(spec), *spec.knobs, *stages]
    stored = (schema.metadata or {}).get(METADATA_KEY)
    try:
        provenance = None if stored is None else parse_provenance(stored)
    except ValueError as error:
        return f"the metadata 'bayeslat' cannot be read ({error}); correct or remove it"
    leaves = [metadata.schema.column(at).path for at in range(metadata.num_columns)]
    places = {name: leaves.index(name) for name in stages if name in leaves}
    row_groups = [metadata.row_group(at) for at in range(metadata.num_row_groups)]
    return TraceFile(
        path=path,
        row_groups=tuple(row_group.num_rows for row_group in row_groups),
        columns=tuple(name for name in dict.fromkeys(needed) if name in schema.names),
        latencies=tuple(_filled(row_group, places) for row_group in row_groups),
        provenance=provenance,
    )


def _filled(row_group: pq.RowGroupMetaData, places: Mapping[str, int]) -> frozenset[str]:
    """Name the columns, given their places, that are not known to be all null in a row group."""
    chunks = {name: row_group.column(place) for name, place in places.items()}
    return frozenset(
        name
        for name, chunk in chunks.items()
        if chunk.statistics is None
        or not chunk.statistics.has_null_count
        or chunk.statistics.null_count < chunk.num_values
    )


def _reader(path: Path) -> pq.ParquetFile:
    """Open a file; texts come as codes of a dictionary, which are sorted in no time."""
    with pq.ParquetFile(path) as reader:
        texts = [
            field.name
            for field in reader.schema_arrow
            if pa.types.is_string(field.type) or pa.types.is_large_string(field.type)
        ]
    return pq.ParquetFile(path, read_dictionary=texts, page_checksum_verification=True)


def _damage(error: Exception) -> str:
    """Say that a file cannot be read, and why."""
    # Arrow explains itself over several lines; the first one says what is wrong.
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return f"cannot be read as Parquet ({reason}); it is damaged or cut short, copy it again"
