"""What a range of a knob must be."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import fields

from bayeslat.collect.dtypes import DTYPE_BYTES
from bayeslat.collect.knobs import Knobs
from bayeslat.collect.tasks import TASKS
from bayeslat.errors import InputError
from bayeslat.features.knob_range import KnobRange

__all__ = ["check_ranges", "did_you_mean"]

_NAMES = tuple(knob.name for knob in fields(Knobs))
_WORDS = {"dtype": tuple(DTYPE_BYTES), "task": tuple(TASKS)}
_DERIVED = {"vision_tokens": "image_crops or image_pixels", "dtype_bytes": "dtype"}


def check_ranges(ranges: Sequence[KnobRange]) -> None:
    """Refuse ranges that no design can be drawn from.

    Raises
    ------
    InputError
        With every unknown knob, every knob that has two ranges and every value that is not one of
        its knob, each with its cure.
    """
    names = [each.name for each in ranges]
    problems = [problem for each in ranges for problem in _problems(each)]
    problems += [
        f"knob {name!r} has {names.count(name)} ranges; give one"
        for name in dict.fromkeys(names)
        if names.count(name) > 1
    ]
    if problems:
        raise InputError("; ".join(dict.fromkeys(problems)))


def did_you_mean(word: str, known: Sequence[str]) -> str:
    """Return the hint about an unknown word: what it is near to, or all that is known."""
    near = difflib.get_close_matches(word, known, n=1)
    return f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"


def _problems(span: KnobRange) -> Iterator[str]:
    if span.name in _DERIVED:
        yield f"knob {span.name!r} follows from other knobs; give {_DERIVED[span.name]} instead"
    elif span.name not in _NAMES:
        yield f"knob {span.name!r} is unknown; {did_you_mean(span.name, _NAMES)}"
    elif span.name in _WORDS:
        yield from _word_problems(span, _WORDS[span.name])
    else:
        yield from _number_problems(span)


def _word_problems(span: KnobRange, known: Sequence[str]) -> Iterator[str]:
    if not span.values:
        yield f"knob {span.name!r} has no range between two ends; list some of {', '.join(known)}"
    for value in span.values:
        if value not in known:
            yield f"knob {span.name!r}: {value!r} is unknown; {did_you_mean(str(value), known)}"


def _number_problems(span: KnobRange) -> Iterator[str]:
    for value in span.values or (span.low, span.high):
        if not isinstance(value, int) or value < 1:
            yield f"knob {span.name!r}: {value!r} is not a whole number from 1; write one"
    if span.name == "image_pixels" and not span.values:
        # Sides are multiples of a step of the model: hardly a side between two ends is possible.
        yield "knob 'image_pixels' has no range between two ends; list sides that the model allows"
