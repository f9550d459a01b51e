"""The output of a command, checked before long work starts."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from bayeslat.atomic import refuse_folder
from bayeslat.errors import InputError

__all__ = ["ensure_no_input", "ensure_writable", "is_read"]


def ensure_writable(path: Path, *inputs: str | Path | None, replaced: bool = False) -> None:
    """Refuse an output that could not be written, or that would replace what is read.

    Parameters
    ----------
    path : Path
        The file; its folder need not exist.
    *inputs : str or Path or None
        What the command reads and its output does not hold: a path is a file; text is a file, a
        folder or a glob of tables. None is passed over.
    replaced : bool
        Whether the output is a folder, which is replaced whole.

    Raises
    ------
    InputError
        If the folder cannot be made, or no file of this name can be written in it; if the file is
        a folder; or as `ensure_no_input` does.
    """
    if not replaced:
        refuse_folder(path)
    folder = path.parent
    while not folder.exists():
        folder = folder.parent
    if not folder.is_dir():
        raise InputError(f"{path}: {folder} is a file, not a folder; name another output")
    try:
        # Named as the temporary file that will stand for the output: it may be too long for one.
        with tempfile.NamedTemporaryFile(prefix=f".{path.stem}.", suffix=path.suffix, dir=folder):
            pass
    except OSError as error:
        raise InputError(
            f"{path}: nothing can be written in {folder} ({error.strerror}); name another output"
        ) from error
    ensure_no_input(path, *inputs)


def ensure_no_input(path: Path, *inputs: str | Path | None) -> None:
    """Refuse an output that is read, too, or a folder to be replaced in which something is read.

    Parameters
    ----------
    path : Path
    *inputs : str or Path or None
        As `ensure_writable` takes them; what names no file is passed over.

    Raises
    ------
    InputError
        With every input that would be lost.
    """
    if not path.exists():
        return
    lost = [str(source) for source in inputs if source is not None and is_read(path, source)]
    if lost:
        named = ", ".join(dict.fromkeys(lost))
        raise InputError(
            f"{path}: writing it would lose what is read from {named}; name another output"
        )


def is_read(path: Path, source: str | Path) -> bool:
    """Tell whether a file of a source is the output, or in it.

    Parameters
    ----------
    path : Path
        The output; it exists.
    source : str or Path
        As `ensure_writable` takes it.
    """
    return any(
        file.samefile(path) or path.resolve() in file.resolve().parents for file in _files(source)
    )


def _files(source: str | Path) -> Iterator[Path]:
    """Give the files that a source names."""
    from bayeslat.traces.sources import find_files

    if Path(source).is_file():  # of any suffix
        yield Path(source)
    elif isinstance(source, str):
        yield from find_files([source])[0]
