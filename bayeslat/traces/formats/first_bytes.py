"""What a file is by its first bytes, where its name says something else."""

from __future__ import annotations

import codecs
from pathlib import Path

from bayeslat.traces.formats import csv_file, json_lines, parquet

__all__ = ["misnamed"]

_BYTES = 4096
_PARQUET = b"PAR1"
_SHOWN = 40  # characters
_BYTE_ORDER_MARK = "\ufeff"


def misnamed(path: Path) -> str:
    """Say what a file is, and how to name it; nothing where its name may be right.

    Parameters
    ----------
    path : Path
        One that cannot be opened is passed over: who reads it says why.
    """
    try:
        with path.open("rb") as file:
            start = file.read(_BYTES)
    except OSError:
        return ""
    suffix, text = path.suffix.lower(), _text(start)
    if text is None:
        if not start.startswith(_PARQUET) or suffix in parquet.SUFFIXES:
            return ""
        return f"is Parquet by its first bytes; name it {_as(path, parquet.SUFFIXES)}"
    if text.startswith('{"'):
        if suffix in json_lines.SUFFIXES:
            return ""
        return f"seems to be JSON Lines; name it {_as(path, json_lines.SUFFIXES)}"
    if suffix not in parquet.SUFFIXES or not text.strip() or _PARQUET.startswith(start):
        return ""
    line = text.strip().splitlines()[0]
    if "," in line:
        return f"seems to be CSV; name it {_as(path, csv_file.SUFFIXES)}"
    return f"is text that begins with {line[:_SHOWN]!r}, and no Parquet; name another file"


def _text(start: bytes) -> str | None:
    """Return the first bytes of a file as text; None where they are none."""
    try:  # the last character may be cut
        text = codecs.getincrementaldecoder("utf-8")().decode(start)
    except UnicodeDecodeError:
        return None
    controls = any(character < " " and not character.isspace() for character in text)
    return None if controls else text.removeprefix(_BYTE_ORDER_MARK)


def _as(path: Path, suffixes: tuple[str, ...]) -> str:
    """Return the name that a file of a format should have."""
    return path.with_suffix(suffixes[0]).name
