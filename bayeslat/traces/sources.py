"""From what a user names (files, folders, globs) to the files to read."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pandas as pd

from bayeslat.errors import InputError
from bayeslat.traces.formats.registry import READERS, SUFFIXES, named
from bayeslat.traces.violations import Violation

__all__ = ["Source", "expand", "find_files", "set_aside_path"]

type Source = str | Path | Iterable[str | Path]
"""A file, a folder, a glob, or several of them."""

_WILDCARDS = frozenset("*?[")
_SET_ASIDE = ".dropped.parquet"
_TABLES = f"{SUFFIXES}; rows that were set aside (*{_SET_ASIDE}) are read where they are named"


def find_files(sources: Iterable[Source]) -> tuple[tuple[Path, ...], tuple[Violation, ...]]:
    """Return the files that sources name, and what is wrong with the sources.

    Parameters
    ----------
    sources : iterable of Source
        Files; folders, which stand for the table files in them and in their folders, sorted,
        without hidden ones; globs (`**` goes down into folders). Rows that were set aside are read
        where their file is named, alone.

    Returns
    -------
    files : tuple of Path
        In the order of the sources; a file that is named twice is given once.
    violations : tuple of Violation
        One for each source that names no file.

    Raises
    ------
    InputError
        If a source is no path.
    """
    files: dict[Path, Path] = {}
    violations: list[Violation] = []
    for source in _flat(sources):
        found, problem = _expand(source)
        if problem:
            violations.append(Violation(source, (), None, problem))
        for file in found:
            files.setdefault(file.resolve(), file)
    return tuple(files.values()), tuple(violations)


def expand(source: str, takes: Callable[[Path], bool]) -> list[Path]:
    """Return the files of a folder, or those that match a glob, sorted.

    Parameters
    ----------
    source : str
    takes : callable (path)
        Tells which files of a folder, and of one that matches, are taken; hidden ones are not.
    """
    path = Path(source)
    if path.is_dir():
        return sorted(
            file
            for file in path.rglob("*")
            if takes(file) and file.is_file() and not _hidden(file.relative_to(path))
        )
    # Not Path.glob: the pattern may be absolute, and hidden files are left out.
    matches = sorted(map(Path, glob.glob(source, recursive=True)))  # noqa: PTH207
    files: list[Path] = []
    for match in matches:
        files.extend(expand(str(match), takes) if match.is_dir() else [match])
    return files


def set_aside_path(output: Path) -> Path:
    """Return where rows are set aside that are left out of an output.

    Parameters
    ----------
    output : Path
        A file, or a folder: the rows lie beside it.
    """
    named = output if output.name not in ("", "..") else output.resolve()
    return named.parent / f"{named.stem}{_SET_ASIDE}"


def _flat(sources: Iterable[Source]) -> Iterator[str]:
    """Give each source by itself, lists taken apart."""
    for source in sources:
        if isinstance(source, Iterable) and not isinstance(
            source, str | os.PathLike | pd.DataFrame
        ):
            yield from map(_as_text, source)
        else:
            yield _as_text(source)


def _as_text(source: object) -> str:
    """Return the path, folder or glob as text."""
    if isinstance(source, str | os.PathLike):
        return os.fspath(source)
    kind = type(source).__name__
    raise InputError(
        f"a source is a {kind}; give the path of a file, a folder or a glob, as in "
        "'traces/*.parquet' (a table that is read already is passed as it is, as in "
        "fit(spec, traces))"
    )


def _expand(source: str) -> tuple[list[Path], str]:
    """Return the files of one source, and what is wrong when there are none."""
    path = Path(source)
    if path.is_dir():
        files = expand(source, _is_table)
        return files, "" if files else f"the folder holds no table; its files end in {_TABLES}"
    if path.exists():
        if named(path) in READERS:
            return [path], ""
        return [], f"unknown suffix {path.suffix!r}; a table ends in {SUFFIXES}"
    if not _WILDCARDS.isdisjoint(source):
        files = [file for file in expand(source, _is_table) if _is_table(file)]
        return files, "" if files else f"no table matches; its name must end in {_TABLES}"
    return [], "no such file or folder; check the path"


def _is_table(path: Path) -> bool:
    """Tell whether a file is a table, and not of rows that were set aside."""
    return named(path) in READERS and not path.name.endswith(_SET_ASIDE)


def _hidden(path: Path) -> bool:
    """Tell whether a file, or a folder on the way to it, starts with a dot."""
    return any(part.startswith(".") for part in path.parts)
