"""What the user says of the files to import."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from bayeslat.errors import InputError
from bayeslat.traces.importers.vocabulary import VOCABULARY
from bayeslat.traces.names import is_stage_column

__all__ = ["Settings", "parse_constants"]

_MOST_WHOLE = 2**53  # up to here every whole number is one of a file
_ELSEWHERE = {"gpu": "--gpu", "stack": "--stack", "model": "--served-model"}


@dataclass(frozen=True, slots=True)
class Settings:
    """What the user says of the files.

    Attributes
    ----------
    gpu : str or None
        GPU of all rows; what the files say by default.
    stack : str or None
        Stack of all rows; what the files say by default.
    model : str or None
        The model whose rows are wanted, where files name some; its name, where they name none.
    constants : mapping of str to int, float or str
        Further columns with one cell for all rows, such as the server's configuration.
    """

    gpu: str | None = None
    stack: str | None = None
    model: str | None = None
    constants: Mapping[str, int | float | str] = field(default_factory=dict)


def parse_constants(texts: Sequence[str]) -> dict[str, int | float | str]:
    """Take `NAME=VALUE` apart: whole numbers, numbers, or else text.

    Raises
    ------
    InputError
        With every text that is wrong.
    """
    found: dict[str, int | float | str] = {}
    problems = []
    for text in texts:
        name, equals, value = (part.strip() for part in text.partition("="))
        if not (name.isidentifier() and equals and value):
            problems.append(f"{text!r} is not NAME=VALUE")
        elif is_stage_column(name):
            problems.append(f"{name!r} is a latency, which has to be measured")
        elif name in _ELSEWHERE:
            problems.append(f"{name!r} is said by {_ELSEWHERE[name]}")
        elif name in found:
            problems.append(f"{name!r} is set twice")
        else:
            try:
                found[name] = _typed(name, value)
            except ValueError as error:
                problems.append(str(error))
    if problems:
        raise InputError(f"--set: {'; '.join(problems)}; write for example --set tensor_parallel=2")
    return found


def _typed(name: str, text: str) -> int | float | str:
    """Return a value in the type that its column has, or else its text looks like.

    Raises
    ------
    ValueError
        If the text is none of its column, or no number that a file can hold.
    """
    known = VOCABULARY.get(name)
    if known is not None and known.kind == "text":
        return text
    value = _number(text)
    if known is None:
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"{name}={text}: must be finite")
        return text if value is None else value
    if value is None or not math.isfinite(value):
        raise ValueError(f"{name}={text}: must be a number")
    if known.kind == "count" and (value < 0 or value != int(value)):
        raise ValueError(f"{name}={text}: must be a whole number from 0 on")
    return int(value) if known.kind == "count" else value


def _number(text: str) -> int | float | None:
    """Return the number that a text is, whole if it looks so; None if it is none."""
    for kind in (int, float):
        try:
            number = kind(text)
        except ValueError:
            continue
        return number if abs(number) < _MOST_WHOLE or isinstance(number, float) else float(number)
    return None
