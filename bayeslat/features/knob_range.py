"""Ranges of knobs."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bayeslat.errors import InputError
from bayeslat.traces.names import TASK

__all__ = ["KnobRange", "parse_knob", "parse_knobs"]

_FORMS = "name=low:high, name=low:high:log, or name=a,b,c"
_LARGEST = 2**53  # whole numbers above it are not exact as floats


@dataclass(frozen=True)
class KnobRange:
    """Values that a knob may take: some that are listed, or all between two.

    Attributes
    ----------
    name : str
    values : tuple of float or str
        The listed values; empty for a range between two.
    low, high : float
        Ends of the range, both included.
    log : bool
        Whether the knob is drawn evenly in its log.
    whole : bool
        Whether it is a whole number: both ends are.
    """

    name: str
    values: tuple[float | str, ...] = ()
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    whole: bool = False

    @property
    def count(self) -> float:
        """How many values the knob may take: infinitely many between ends that are not whole."""
        if self.values:
            return len(set(self.values))
        return self.high - self.low + 1 if self.whole else math.inf

    def at(self, places: NDArray[np.float64]) -> NDArray[Any]:
        """Return the values at places in [0, 1). Shape (config,)."""
        if self.values:
            chosen = np.minimum((places * len(self.values)).astype(int), len(self.values) - 1)
            listed: NDArray[Any] = np.array(self.values)[chosen]
            return listed
        # A whole number k stands for all from k to k + 1.
        low, high = self.low, self.high + self.whole
        drawn = low * (high / low) ** places if self.log else low + places * (high - low)
        if not self.whole:
            return np.asarray(drawn)
        return np.clip(np.floor(drawn), self.low, self.high).astype(np.int64)


def parse_knob(text: str) -> KnobRange:
    """Read a range as the command line has it.

    Parameters
    ----------
    text : str
        `batch_size=1:64`, `context=128:8192:log`, `top_k=1,2,4,8` or `task=qa,captioning`. Numbers
        are whole if both ends, or the listed values, are written so. The values of `task` are
        always words.

    Returns
    -------
    KnobRange

    Raises
    ------
    InputError
        If the text is of none of these forms, or the range is empty.
    """
    name, sign, rest = (part.strip() for part in text.partition("="))
    if not sign or not name or not rest:
        raise InputError(f"knob range {text!r}: write {_FORMS}")
    if ":" not in rest or name == TASK:
        return KnobRange(name, values=_listed(text, rest, words=name == TASK))
    low, high, *more = rest.split(":")
    if more not in ([], ["log"]):
        raise InputError(f"knob range {text!r}: write {_FORMS}")
    ends = (_number(text, low), _number(text, high))
    log, whole = bool(more), all(isinstance(end, int) for end in ends)
    if ends[0] >= ends[1]:
        raise InputError(f"knob range {text!r}: the low end must be below the high end")
    if log and ends[0] <= 0:
        raise InputError(f"knob range {text!r}: a range in logs must start above 0")
    return KnobRange(name, low=ends[0], high=ends[1], log=log, whole=whole)


def parse_knobs(texts: Iterable[str]) -> tuple[KnobRange, ...]:
    """Read several ranges, as `parse_knob` reads each.

    Raises
    ------
    InputError
        With what is wrong with every text.
    """
    ranges, problems = [], []
    for text in texts:
        try:
            ranges.append(parse_knob(text))
        except InputError as error:
            problems.append(str(error))
    if problems:
        raise InputError("; ".join(problems))
    return tuple(ranges)


def _listed(text: str, rest: str, *, words: bool) -> tuple[float | str, ...]:
    """Read listed values: numbers if all are."""
    values = [word.strip() for word in rest.split(",")]
    if not all(values):
        raise InputError(f"knob range {text!r}: a value is empty; write {_FORMS}")
    if words:
        return tuple(values)
    try:
        return tuple(_number(text, value) for value in values)
    except InputError:
        if any(_looks_numeric(value) for value in values):
            raise
        return tuple(values)


def _number(text: str, word: str) -> float:
    """Read a finite number; a whole one stays an int."""
    try:
        value: float = int(word)
    except ValueError:
        try:
            value = float(word)
        except ValueError:
            value = math.nan
    if not math.isfinite(value):
        raise InputError(f"knob range {text!r}: {word.strip()!r} is not a finite number")
    if isinstance(value, int) and abs(value) > _LARGEST:
        raise InputError(f"knob range {text!r}: {word.strip()!r} is beyond {_LARGEST}")
    return value


def _looks_numeric(word: str) -> bool:
    """Tell a number, or a mistyped one, from a word."""
    return word[0].isdigit() or word[0] in "+-."
