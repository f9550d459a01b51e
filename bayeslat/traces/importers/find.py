"""From what a user names to the files to import."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from pathlib import Path

from bayeslat.errors import TraceError
from bayeslat.traces.importers.importer import Importer
from bayeslat.traces.violations import Violation, report

__all__ = ["find_importable"]


def find_importable(importer: Importer, sources: Sequence[str | Path]) -> tuple[Path, ...]:
    """Return the files that sources name.

    Parameters
    ----------
    importer : Importer
    sources : sequence of str or Path
        Files of any name; folders, which stand for the files in them that are called as the format
        calls them; globs.

    Returns
    -------
    tuple of Path
        In the order of the sources; a file that is named twice is given once.

    Raises
    ------
    TraceError
        With every source that names no file.
    """
    files: dict[Path, Path] = {}
    violations: list[Violation] = []
    for source in map(str, sources):
        found = _expand(importer, source)
        if not found:
            violations.append(Violation(source, (), None, _problem(importer, Path(source))))
        for file in found:
            files.setdefault(file.resolve(), file)
    if violations or not files:
        message = report(violations) if violations else "no file was named; name at least one"
        raise TraceError(message, tuple(violations))
    return tuple(files.values())


def _expand(importer: Importer, source: str) -> list[Path]:
    """Return the files of one source, sorted."""
    path = Path(source)
    if path.is_file():
        return [path]
    if path.is_dir():
        matches = {file for pattern in importer.patterns for file in path.rglob(pattern)}
        return sorted(file for file in matches if file.is_file())
    # Not Path.glob: the pattern may be absolute.
    return sorted(Path(name) for name in glob.glob(source, recursive=True))  # noqa: PTH207


def _problem(importer: Importer, path: Path) -> str:
    """Return what is wrong with a source that names no file."""
    if path.is_dir():
        return f"the folder holds no {' or '.join(importer.patterns)}; name the file"
    return "no such file or folder; check the path"
