"""From what a user names (files, folders, globs) to the files to read."""

from __future__ import annotations

import glob
from collections.abc import Iterable, Iterator
from pathlib import Path

from bayeslat.traces.formats.registry import READERS, SUFFIXES, named
from bayeslat.traces.violations import Violation

__all__ = ["Source", "find_files"]

type Source = str | Path | Iterable[str | Path]
"""A file, a folder, a glob, or several of them."""

_WILDCARDS = frozenset("*?[")


def find_files(sources: Iterable[Source]) -> tuple[tuple[Path, ...], tuple[Violation, ...]]:
    """Return the files that sources name, and what is wrong with the sources.

    Parameters
    ----------
    sources : iterable of Source
        Files; folders, which stand for the table files in them and in their folders, sorted,
        without hidden ones; globs (`**` goes down into folders).

    Returns
    -------
    files : tuple of Path
        In the order of the sources; a file that is named twice is given once.
    violations : tuple of Violation
        One for each source that names no file.
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


def _flat(sources: Iterable[Source]) -> Iterator[str]:
    """Give each source by itself, lists taken apart."""
    for source in sources:
        if isinstance(source, str | Path):
            yield str(source)
        else:
            yield from map(str, source)


def _expand(source: str) -> tuple[list[Path], str]:
    """Return the files of one source, and what is wrong when there are none."""
    path = Path(source)
    if path.is_dir():
        files = _tables_in(path)
        return files, "" if files else f"the folder holds no table; its files end in {SUFFIXES}"
    if path.exists():
        if named(path) in READERS:
            return [path], ""
        return [], f"unknown suffix {path.suffix!r}; a table ends in {SUFFIXES}"
    if not _WILDCARDS.isdisjoint(source):
        files = _matches(source)
        return files, "" if files else f"no table matches; its name must end in {SUFFIXES}"
    return [], "no such file or folder; check the path"


def _tables_in(folder: Path) -> list[Path]:
    """Return the table files in a folder and the folders in it, without hidden ones, sorted."""
    return sorted(
        path
        for path in folder.rglob("*")
        if named(path) in READERS and path.is_file() and not _hidden(path.relative_to(folder))
    )


def _hidden(path: Path) -> bool:
    """Tell whether a file, or a folder on the way to it, starts with a dot."""
    return any(part.startswith(".") for part in path.parts)


def _matches(pattern: str) -> list[Path]:
    """Return the table files that match a glob, those in matching folders included."""
    files: list[Path] = []
    # Not Path.glob: the pattern may be absolute, and hidden files are left out.
    names = glob.glob(pattern, recursive=True)  # noqa: PTH207
    for match in sorted(map(Path, names)):
        if match.is_dir():
            files.extend(_tables_in(match))
        elif named(match) in READERS:
            files.append(match)
    return files
