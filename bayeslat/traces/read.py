"""Reading traces and tables of configs from files, folders and globs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from bayeslat.errors import TraceError
from bayeslat.traces.columns import join
from bayeslat.traces.formats.content import FileContent, refuse
from bayeslat.traces.formats.first_bytes import misnamed
from bayeslat.traces.formats.registry import READERS, named
from bayeslat.traces.provenance import Provenance, parse_provenance, sidecar_path
from bayeslat.traces.schema import check_frame
from bayeslat.traces.sources import Source, find_files
from bayeslat.traces.trace_record import TraceRecord
from bayeslat.traces.violations import Violation, report

__all__ = ["read_configs", "read_traces"]

type Check = Callable[[pd.DataFrame], tuple[Violation, ...]]


def read_traces(*sources: Source, check: bool = True) -> pd.DataFrame:
    """Read measured configurations.

    Parameters
    ----------
    *sources : str, Path or iterable of them
        Parquet, CSV or JSON Lines files; folders, which stand for every such file in them; globs.
    check : bool
        Whether to refuse rows and columns that break the rules of the trace table. Files that
        cannot be read are refused in any case.

    Returns
    -------
    DataFrame
        One row per measurement, in the order of the files and rows. Columns stand in the order in
        which they are first met, and are missing where a file lacks them.
        `attrs["bayeslat"]` holds `sources` (file, first row label, number of rows) and the
        `provenance` of each.

    Raises
    ------
    TraceError
        With every violation in every file.
    InputError
        If a source is no path.
    """
    return _read(sources, check_frame if check else _accept)


def read_configs(*sources: Source, check: bool = True) -> pd.DataFrame:
    """Read configurations to predict: as `read_traces`, but latencies and `gpu` are not needed.

    Parameters
    ----------
    *sources : str, Path or iterable of them
        As for `read_traces`.
    check : bool
        Whether to refuse rows and columns that break the rules of the table.

    Returns
    -------
    DataFrame
        One row per configuration, with `attrs` as for `read_traces`.

    Raises
    ------
    TraceError
        With every violation in every file.
    InputError
        If a source is no path.
    """
    return _read(sources, _check_configs if check else _accept)


@dataclass(frozen=True, slots=True)
class _Part:
    """One file that was read."""

    file: str
    content: FileContent
    provenance: Provenance | None
    violations: tuple[Violation, ...] = ()


def _accept(frame: pd.DataFrame) -> tuple[Violation, ...]:
    """Find nothing wrong."""
    return ()


def _check_configs(frame: pd.DataFrame) -> tuple[Violation, ...]:
    """Check a table without latencies."""
    return check_frame(frame, need_stages=False, need_gpu=False)


def _read(sources: Sequence[Source], check: Check) -> pd.DataFrame:
    """Read every file, then raise everything that is wrong at once."""
    files, problems = find_files(sources)
    if not files and not problems:
        raise TraceError("no trace was named; name at least one file, folder or glob")
    parts: list[_Part] = []
    for file in files:
        try:
            parts.append(_read_file(file))
        except TraceError as error:
            problems += error.violations
    problems += tuple(violation for part in parts for violation in part.violations)
    frame = _frame(parts)
    if parts:
        problems += check(frame)
    if problems:
        raise TraceError(report(problems), problems)
    return frame


def _read_file(path: Path) -> _Part:
    """Read one file and its provenance."""
    if message := misnamed(path):
        raise refuse(path, message)
    content = READERS[named(path)](path)
    part = _Part(str(path), content, None)
    metadata, holder = content.metadata, str(path)
    sidecar = sidecar_path(path)
    try:
        if metadata is None and sidecar.is_file():
            holder = str(sidecar)
            metadata = sidecar.read_bytes()
        return replace(part, provenance=None if metadata is None else parse_provenance(metadata))
    except (ValueError, OSError) as error:
        message = f"the metadata 'bayeslat' cannot be read ({error}); correct or remove it"
        return replace(part, violations=(Violation(holder, (), None, message),))


def _frame(parts: Sequence[_Part]) -> pd.DataFrame:
    """Return the rows of all files, and in `attrs` where they are from."""
    frame = join([part.content for part in parts])
    sources: list[list[str | int]] = []
    first = 0
    for part in parts:
        sources.append([part.file, first, part.content.n_rows])
        first += part.content.n_rows
    stored = [
        None if part.provenance is None else part.provenance.model_dump(mode="json", by_alias=True)
        for part in parts
    ]
    frame.attrs["bayeslat"] = TraceRecord(sources=sources, provenance=stored)
    return frame
