"""What the environment asks of the logger: vLLM hands no arguments to its plugins."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

__all__ = ["FOLDER", "MAX_FILES", "MAX_MB", "Settings", "read_settings"]

FOLDER = "BAYESLAT_LOG_DIR"
MAX_MB = "BAYESLAT_LOG_MAX_MB"
MAX_FILES = "BAYESLAT_LOG_MAX_FILES"

_MIB = 2**20  # bytes


@dataclass(frozen=True)
class Settings:
    """How a server is logged.

    Attributes
    ----------
    folder : Path
        Where the files go.
    max_file_bytes : int
        A file that has grown to this is followed by the next.
    max_files : int
        Files that one engine of one run keeps; the oldest are removed.
    flush_s : float
        Longest time between two writes, in s: a server that is killed loses no more rows.
    queue_length : int
        Iterations that may wait for the disk; further ones are dropped and counted.
    """

    folder: Path
    max_file_bytes: int = 64 * _MIB
    max_files: int = 16
    flush_s: float = 0.5
    queue_length: int = 10_000


def read_settings(environ: Mapping[str, str]) -> tuple[Settings | None, tuple[str, ...]]:
    """Return the settings in the environment, and what is wrong with them.

    A plugin is found without being asked for, so it must not fill a disk unasked: without
    `BAYESLAT_LOG_DIR` nothing is logged. A value that cannot be read is replaced by the default,
    since a server does not stop for its logger.

    Parameters
    ----------
    environ : mapping of str to str
        The environment.

    Returns
    -------
    Settings or None
        None where no folder is named.
    tuple of str
        A sentence for each value that was not taken.
    """
    folder = environ.get(FOLDER, "").strip()
    if not folder:
        return None, ()
    problems: list[str] = []
    max_mb = _positive(environ, MAX_MB, 64, problems)
    max_files = _positive(environ, MAX_FILES, 16, problems)
    settings = Settings(Path(folder).expanduser(), max_mb * _MIB, max_files)
    return settings, tuple(problems)


def _positive(environ: Mapping[str, str], name: str, default: int, problems: list[str]) -> int:
    """Return a whole number above 0 of the environment."""
    text = environ.get(name, "").strip()
    if not text:
        return default
    if text.isdecimal() and int(text) > 0:
        return int(text)
    problems.append(f"{name}={text!r} must be a whole number above 0; {default} is taken")
    return default
