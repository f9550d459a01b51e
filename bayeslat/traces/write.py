"""Writing traces with their provenance, and tables of results."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa
from pydantic import JsonValue

from bayeslat.atomic import atomic_path, refuse_folder
from bayeslat.errors import InputError
from bayeslat.paths import as_path
from bayeslat.traces.formats import parquet
from bayeslat.traces.formats.registry import BATCH_WRITERS, SUFFIXES, WRITERS, named
from bayeslat.traces.provenance import Provenance, provenances, sidecar_path

__all__ = ["check_table_path", "write_batches", "write_table", "write_traces"]


def write_traces(
    frame: pd.DataFrame,
    path: str | Path,
    provenance: Provenance | None = None,
    *,
    grown: bool = False,
) -> None:
    """Write a trace: every row in its order, every column, not the index.

    The rows are not checked. Parquet holds the provenance in its metadata; for CSV and JSON Lines
    it goes to `<name>.meta.json` beside the file. Without one, a file of that name from an earlier
    trace is removed.

    Parameters
    ----------
    frame : DataFrame
        The trace.
    path : str or Path
        The file, ending in .parquet, .pq, .csv, .jsonl or .ndjson. Missing folders are made.
    provenance : Provenance, optional
        Where the rows come from; by default what all the files that they were read from say, if
        these agree.
    grown : bool
        Whether the file holds some of these rows already, or none. The provenance is then theirs
        too, and is written before them: a file that is left at any moment has its provenance.

    Raises
    ------
    InputError
        It is no table, the provenance is none, the suffix is unknown, column names are not unique
        text, or a cell cannot be written; nothing is written then.
    """
    if not isinstance(frame, pd.DataFrame):
        kind = type(frame).__name__
        raise InputError(f"frame is a {kind}; give the table, then the path to write it to")
    if not isinstance(provenance, Provenance | None):
        raise InputError(
            f"provenance is a {type(provenance).__name__}; make one by bayeslat.traces.Provenance, "
            "as in Provenance(source='measured'), or leave it out"
        )
    stated = provenance or _own_provenance(frame)
    content = b"" if stated is None else stated.to_json()
    target = check_table_path(path)
    beside = bool(content) and named(target) not in parquet.SUFFIXES
    if beside and grown:
        _write_sidecar(target, content)
    metadata = {parquet.METADATA_KEY: content} if content else None
    _write(frame, target, metadata, keep_sidecar=beside and grown)
    if beside and not grown:
        _write_sidecar(target, content)


def write_table(
    frame: pd.DataFrame, path: str | Path, about: Mapping[str, JsonValue] | None = None
) -> None:
    """Write a table of results: every row in its order, every column, not the index.

    Parameters
    ----------
    frame : DataFrame
        The table.
    path : str or Path
        The file, ending in .parquet, .pq, .csv, .jsonl or .ndjson. Missing folders are made.
    about : mapping of str to JSON value, optional
        What the table is an answer to. Parquet holds it in its metadata, as JSON under
        `bayeslat_result`; CSV and JSON Lines have no place for it.

    Raises
    ------
    InputError
        As for `write_traces`.
    """
    _write(frame, path, {parquet.RESULT_KEY: json.dumps(about).encode()} if about else None)


def write_batches(
    schema: pa.Schema, tables: Iterable[pa.Table], path: str | Path, provenance: Provenance
) -> None:
    """Write a trace that need not fit in memory: tables of one schema, one below the other.

    Parameters
    ----------
    schema : Schema
        Of every table.
    tables : iterable of Table
        They are taken one by one, as they are written.
    path : str or Path
        As for `write_traces`; whole or not at all.
    provenance : Provenance
        Goes where `write_traces` puts it.

    Raises
    ------
    InputError
        As for `write_traces`.
    """
    target = check_table_path(path)
    _check_names(schema.names, target)
    content = provenance.to_json()
    with atomic_path(target) as temporary:
        if named(target) in parquet.SUFFIXES:
            parquet.write_batches(schema, tables, temporary, {parquet.METADATA_KEY: content})
        else:
            BATCH_WRITERS[named(target)](schema, tables, temporary)
        # Before the rows are replaced: those of now must never stand beside provenance of others.
        sidecar_path(target).unlink(missing_ok=True)
    if named(target) not in parquet.SUFFIXES:
        _write_sidecar(target, content)


def check_table_path(path: str | Path) -> Path:
    """Return the path of a table to be written, if its suffix is known.

    For commands that work long before they write: a mistyped name is found at once.

    Raises
    ------
    InputError
        The suffix is unknown, or the path is a folder.
    """
    target = as_path(path, "traces.parquet")
    if named(target) not in WRITERS:
        raise InputError(
            f"{target}: unknown suffix {target.suffix!r}; name a file that ends in {SUFFIXES}"
        )
    refuse_folder(target, f"a file that ends in {SUFFIXES}")
    return target


def _own_provenance(frame: pd.DataFrame) -> Provenance | None:
    """Return the provenance that every file of a trace has, if it is the same."""
    found = provenances(frame)
    return found[0] if found and all(each == found[0] for each in found) else None


def _write_sidecar(target: Path, content: bytes) -> None:
    with atomic_path(sidecar_path(target)) as temporary:
        temporary.write_bytes(content + b"\n")


def _write(
    frame: pd.DataFrame,
    path: str | Path,
    metadata: Mapping[bytes, bytes] | None,
    *,
    keep_sidecar: bool = False,
) -> None:
    """Write rows, with metadata where the format has a place for it."""
    target = check_table_path(path)
    _check_names(frame.columns.tolist(), target)
    with atomic_path(target) as temporary:
        if named(target) in parquet.SUFFIXES:
            parquet.write(frame, temporary, metadata)
        else:
            WRITERS[named(target)](frame, temporary)
        if not keep_sidecar:
            # Before the rows are replaced: those of now must never stand beside provenance of
            # others.
            sidecar_path(target).unlink(missing_ok=True)


def _check_names(names: Sequence[object], target: Path) -> None:
    """Raise an InputError when a file could not tell the columns apart."""
    if not names:
        raise InputError(f"{target}: the table has no columns; nothing can be written")
    wrong = [name for name in names if not isinstance(name, str) or not name]
    twice = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    if wrong or twice:
        listed = ", ".join(repr(name) for name in dict.fromkeys([*wrong, *twice]))
        raise InputError(
            f"{target}: column names must be unique text, not {listed}; rename the columns"
        )
