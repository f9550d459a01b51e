"""How a command ends: its exit status, and what it says on the way."""

from __future__ import annotations

import functools
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import typer

from bayeslat.errors import BayeslatError, InputError

__all__ = ["CHECK_FAILED", "ends_well", "ensure_writable", "fail", "note", "print_json"]

BAD_INPUT, CHECK_FAILED = 1, 3


def ends_well[**P](command: Callable[P, None]) -> Callable[P, None]:
    """Turn errors that a user can cure into a message and exit status 1."""

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except BayeslatError as error:
            fail(str(error), BAD_INPUT)
        except BrokenPipeError:
            # The reader has left, as `| head` does: nothing is wrong, and nobody is listening.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            fail(f"{where}{error.strerror or error}", BAD_INPUT)

    return run


def fail(message: str, status: int) -> NoReturn:
    """Say what is wrong on standard error, and end with a status."""
    print(f"error: {message}", file=sys.stderr)
    raise typer.Exit(status)


def note(message: str) -> None:
    """Say something on standard error that is no result."""
    print(message, file=sys.stderr)


def print_json(content: Any) -> None:
    """Print one JSON object; numbers that JSON lacks become null."""
    print(json.dumps(_plain(content), indent=1, allow_nan=False))


def ensure_writable(path: Path) -> None:
    """Refuse an output that could not be written, before long work starts.

    Raises
    ------
    InputError
        If the folder cannot be made, or nothing can be written in it.
    """
    folder = path.parent
    while not folder.exists():
        folder = folder.parent
    if not folder.is_dir():
        raise InputError(f"{path}: {folder} is a file, not a folder; name another output")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise InputError(f"{path}: nothing can be written in {folder}; name another output")


def _plain(content: Any) -> Any:
    """Replace what JSON cannot hold."""
    if isinstance(content, dict):
        return {str(key): _plain(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_plain(value) for value in content]
    if isinstance(content, Path):
        return str(content)
    if hasattr(content, "item"):
        content = content.item()
    if isinstance(content, float) and not -float("inf") < content < float("inf"):
        return None
    return content
