"""Copies of files, which would count their rows twice."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

__all__ = ["without_copies"]


def without_copies(files: Sequence[Path]) -> list[Path]:
    """Return the files without those that hold the same bytes as one before them.

    Parameters
    ----------
    files : sequence of Path
        One that cannot be opened is given on: whoever reads it tells.

    Returns
    -------
    list of Path
        In their order. Only files of the same size are read.
    """
    sizes = [_size(file) for file in files]
    often = Counter(sizes)
    kept: dict[object, Path] = {}
    for file, size in zip(files, sizes, strict=True):
        content = _digest(file) if size and often[size] > 1 else None
        kept.setdefault(content or file, file)
    return list(kept.values())


def _size(file: Path) -> int | None:
    """Return the number of bytes of a file; None if nobody knows."""
    try:
        return file.stat().st_size
    except OSError:
        return None


def _digest(file: Path) -> bytes | None:
    """Return what tells the content of a file from others; None if it cannot be read."""
    try:
        with file.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").digest()
    except OSError:
        return None
