"""How a command ends: its exit status, what it prints, and what it says on the way."""

from __future__ import annotations

import functools
import json
import os
import re
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn, Protocol, get_type_hints

import typer
from typer.models import OptionInfo

from bayeslat.errors import BayeslatError, InputError, TraceError

__all__ = [
    "BAD_INPUT",
    "CHECK_FAILED",
    "INTERRUPTED",
    "command_line",
    "discard_output",
    "ends_well",
    "fail",
    "naming",
    "note",
    "note_warning",
    "print_result",
    "print_result_of",
    "told_at_once",
    "writing",
]


class _Attempt(Protocol):
    """A function that calls another one."""

    def __call__[**P, R](
        self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs
    ) -> R: ...


BAD_INPUT, CHECK_FAILED = 1, 3
INTERRUPTED = 130  # as shells have it


def ends_well[**P](command: Callable[P, None]) -> Callable[P, None]:
    """Turn errors that a user can cure into a message and exit status 1."""

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except TraceError as error:
            fail(str(error), BAD_INPUT)
        except BayeslatError as error:
            fail(_in_options(str(error), command), BAD_INPUT)
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            fail(f"{where}{error.strerror or error}", BAD_INPUT)
        except UnicodeEncodeError as error:
            fail(f"{error.object!r} is not UTF-8 text; choose another name", BAD_INPUT)
        except MemoryError:
            fail("the memory is too small for this; give fewer rows at a time", BAD_INPUT)

    return run


def fail(message: str, status: int) -> NoReturn:
    """Say what is wrong on standard error, and end with a status."""
    note(f"error: {message}")
    raise typer.Exit(status)


def note(message: str) -> None:
    """Say something on standard error that is no result."""
    if sys.stderr is not None:  # without one, `print` would take standard output
        print(message, file=sys.stderr)


def note_warning(lines: Sequence[str]) -> None:
    """Warn of something in several lines; nothing without any."""
    if lines:
        note("\n".join(["warning: " + lines[0], *lines[1:]]))


def command_line() -> str:
    """Return the command that runs, as a shell takes it."""
    return shlex.join(["bayeslat", *sys.argv[1:]])


def print_result(record: dict[str, Any], as_json: bool, show: Callable[[], None]) -> None:
    """Print one JSON object, or what `show` prints.

    A reader that has left, as `| head` does, is no error: the command goes on to its verdict.
    """
    try:
        if as_json:
            print(json.dumps(_plain(record), indent=1, allow_nan=False))
        else:
            show()
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        discard_output()
    except OSError as error:
        discard_output()
        fail(f"standard output: {error.strerror or error}", BAD_INPUT)


def print_result_of(
    posterior: Path,
    converged: bool,
    record: dict[str, Any],
    as_json: bool,
    show: Callable[[Mapping[str, Any]], None],
) -> None:
    """Print what stands on a posterior, and warn where its draws did not converge."""
    record["converged"] = converged
    print_result(record, as_json, lambda: show(record))
    if not converged:
        note(f"{posterior} did not converge; `bayeslat check {posterior}` says where")


def discard_output() -> None:
    """Send standard output nowhere, so that Python can close it in peace."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


@contextmanager
def naming(option: str) -> Iterator[None]:
    """Name the option whose value is at fault; broken rows have names of their own.

    Raises
    ------
    InputError
        If the block raises one.
    """
    try:
        yield
    except TraceError:
        raise
    except InputError as error:
        raise InputError(f"{option}: {error}") from error


@contextmanager
def told_at_once(known: Sequence[str] = ()) -> Iterator[_Attempt]:
    """Give a function that calls others, and tell what these refuse when the block ends.

    What a call that was refused would have returned is None within the block.

    Parameters
    ----------
    known : sequence of str
        Problems that were found before.

    Raises
    ------
    InputError
        With all that was refused, and what was found before.
    """
    problems: list[str] = []

    def attempt[**P, R](function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except BayeslatError as error:
            problems.append(str(error))
            return None  # type: ignore[return-value]  # the block ends in an error

    yield attempt
    problems += known
    if problems:
        lines = [problem for problem in problems if "\n" not in problem]
        blocks = [problem for problem in problems if "\n" in problem]
        raise InputError("\n".join([*filter(None, ["; ".join(lines)]), *blocks]))


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Name the output when the system refuses to write it.

    Raises
    ------
    InputError
        If the block raises an OSError, or cannot take the name.
    """
    try:
        yield
    except UnicodeEncodeError as error:
        raise InputError(f"{str(path)!r} is not UTF-8 text; name another output") from error
    except OSError as error:
        raise InputError(
            f"{path}: cannot be written ({error.strerror or error}); make room and check the "
            "rights of its folder, or name another output"
        ) from error


def _in_options(message: str, command: Callable[..., None]) -> str:
    """Write arguments of Python as the options of a command: max_risk is --max-risk there."""
    for option in _options(command):
        name = option.lstrip("-").replace("-", "_")
        message = re.sub(rf"(^|; ){name}(?= is | are )", rf"\g<1>{option}", message)
        if "_" in name:
            message = re.sub(rf"(?<=give ){name}\b", option, message)
    return message


def _options(command: Callable[..., None]) -> Iterator[str]:
    """Yield the options of a command, as the shell takes them."""
    for argument, hint in get_type_hints(command, include_extras=True).items():
        for info in getattr(hint, "__metadata__", ()):
            if isinstance(info, OptionInfo):
                # Where its type is annotated, the first name stands in place of a default.
                names = [info.default, *(info.param_decls or ())]
                told = [name for name in names if isinstance(name, str) and name[:1] == "-"]
                yield from told or [f"--{argument.replace('_', '-')}"]


def _plain(content: Any) -> Any:
    """Replace what JSON cannot hold: other types by plain ones, numbers that it lacks by null."""
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
