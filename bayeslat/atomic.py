"""Writing a file, a folder, or files of a folder, whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bayeslat.errors import InputError

__all__ = ["atomic_files", "atomic_folder", "atomic_path", "refuse_folder"]


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Give a temporary path that replaces `path` when the block ends without an error.

    Parameters
    ----------
    path : str or Path
        The file to write; what it links to, if it is a link. Missing parent folders are made.

    Yields
    ------
    Path
        A path in the same folder, with the same suffix. After an error it is removed and `path`
        is left as it was.

    Raises
    ------
    InputError
        If `path` is a folder.
    """
    refuse_folder(path)
    target = Path(path).resolve()
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(
        prefix=f".{target.stem}.", suffix=target.suffix, dir=target.parent
    )
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o666 & ~_umask())
        _reach_disk(temporary)
        temporary.replace(target)
        _reach_disk(target.parent)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_files(folder: str | Path, names: Sequence[str]) -> Iterator[Path]:
    """Give a temporary folder whose files move into `folder` when the block ends without an error.

    To move them takes no room and hardly any time: until then `folder` is as it was.

    Parameters
    ----------
    folder : str or Path
        Missing ones are made. Files of other names stay as they are.
    names : sequence of str
        Paths in the folder, or globs, of all that may be written. Those that are not written now
        are removed: they would pass for new ones. The first, which stands on the others, moves
        last.

    Yields
    ------
    Path
        An empty folder in it. It is removed, with what is in it after an error.

    Raises
    ------
    InputError
        If a folder stands where a file is to be: nothing moves.
    """
    target = Path(folder).resolve()
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".new.", dir=target) as beside:
        fresh = Path(beside)
        yield fresh
        written = [file.relative_to(fresh) for file in fresh.rglob("*") if file.is_file()]
        for name in written:
            refuse_folder(target / name)
            (target / name).resolve().parent.mkdir(parents=True, exist_ok=True)
            _reach_disk(fresh / name)
        earlier = {file.relative_to(target) for name in names for file in target.glob(name)}
        for name in earlier.difference(written):
            (target / name).unlink()
        for name in sorted(written, key=lambda name: name == Path(names[0])):
            (fresh / name).replace((target / name).resolve())
        _reach_disk(target)


@contextmanager
def atomic_folder(path: str | Path, mark: str) -> Iterator[Path]:
    """Give a temporary folder that replaces `path` when the block ends without an error.

    Parameters
    ----------
    path : str or Path
        The folder to write; what it links to, if it is a link. Missing parent folders are made.
    mark : str
        A file that tells a folder of the same kind, which may be replaced.

    Yields
    ------
    Path
        An empty folder beside it. After an error it is removed and `path` is left as it was.

    Raises
    ------
    InputError
        If `path` is a file, holds something and not the mark, or is where the process runs.
    """
    target = Path(path).resolve()
    if target.exists() and not target.is_dir():
        raise InputError(f"{path}: is a file; name a folder")
    if target.is_dir() and any(target.iterdir()) and not (target / mark).is_file():
        raise InputError(f"{path}: holds other files; name a new folder, or empty it")
    if Path.cwd().is_relative_to(target):  # it would run in a folder that is gone
        raise InputError(f"{path}: is the folder that this runs in, or above it; name another")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as beside:
        fresh, old = Path(beside) / "new", Path(beside) / "old"
        fresh.mkdir()
        yield fresh
        if target.exists():
            target.rename(old)
        fresh.rename(target)


def refuse_folder(path: str | Path, kind: str = "a file") -> None:
    """Refuse a folder where a file is to be written.

    Parameters
    ----------
    path : str or Path
    kind : str
        What to name instead.

    Raises
    ------
    InputError
        If `path` is a folder.
    """
    if Path(path).is_dir():
        raise InputError(f"{path}: is a folder; name {kind}")


def _reach_disk(path: Path) -> None:
    """Wait until a file's content, or a folder's list of files, would survive a loss of power."""
    if os.name != "posix":  # elsewhere a folder cannot be opened
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _umask() -> int:
    """Return the process's file mode mask, which can only be read by setting it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
