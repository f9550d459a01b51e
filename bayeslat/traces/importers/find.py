"""From what a user names to the files to import."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bayeslat.errors import TraceError
from bayeslat.traces.importers.importer import Importer
from bayeslat.traces.sources import expand
from bayeslat.traces.violations import Violation, report

__all__ = ["find_importable"]

_COMPRESSED = {
    b"\x1f\x8b": "gzip",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"BZh": "bzip2",
    b"\xfd7zXZ\x00": "xz",
    b"PK\x03\x04": "zip",
}
_ENDINGS = (".gz", ".zst", ".bz2", ".xz", ".zip")


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
        With every source that names no file, and every compressed file that would be left out.
    """
    files: dict[Path, Path] = {}
    violations: list[Violation] = []
    for source in map(str, sources):
        found = _expand(importer, source)
        packed = [file for file in found if _compression(file)] or _packed(importer, Path(source))
        violations += [Violation(str(file), (), None, _unpack(file)) for file in packed]
        if not found and not packed:
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
    return expand(source, lambda file: any(map(file.match, importer.patterns)))


def _compression(file: Path) -> str | None:
    """Return how a file is compressed; None if it is not, or cannot be opened."""
    try:
        with file.open("rb") as stream:
            head = stream.read(max(map(len, _COMPRESSED)))
    except OSError:
        return None
    return next((name for mark, name in _COMPRESSED.items() if head.startswith(mark)), None)


def _packed(importer: Importer, folder: Path) -> list[Path]:
    """Return the compressed files of a folder whose content is not beside them."""
    if not folder.is_dir():
        return []
    names = [f"{pattern}{ending}" for pattern in importer.patterns for ending in _ENDINGS]
    matches = {file for name in names for file in folder.rglob(name)}
    return sorted(
        file for file in matches if _compression(file) and not file.with_suffix("").exists()
    )


def _unpack(file: Path) -> str:
    return f"is compressed ({_compression(file)}), and would be left out; unpack it first"


def _problem(importer: Importer, path: Path) -> str:
    """Return what is wrong with a source that names no file."""
    if path.is_dir():
        return f"the folder holds no {' or '.join(importer.patterns)}; name the file"
    return "no such file or folder; check the path"
