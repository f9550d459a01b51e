"""One row of a design's table, as a configuration."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from bayeslat.collect.design_cells import Row
from bayeslat.collect.dtypes import DTYPE_BYTES
from bayeslat.collect.knob_space import set_knobs
from bayeslat.collect.knobs import Knobs, knob_problems
from bayeslat.collect.limits import VlmLimits

__all__ = ["RowProblem", "read_row"]

# What decides how many prompt tokens are possible.
_LENGTHS = frozenset(
    {"vision_tokens", "image_crops", "image_pixels", "prompt_tokens", "output_tokens", "task"}
)
_DERIVED = ("vision_tokens", "dtype_bytes")


@dataclass(frozen=True)
class RowProblem:
    """Why a row cannot be measured.

    Attributes
    ----------
    column : str
        The column that it is about; the file may lack it.
    message : str
        The value, the rule and the cure.
    """

    column: str
    message: str


def read_row(row: Row, base: Knobs, limits: VlmLimits) -> tuple[Knobs, tuple[RowProblem, ...]]:
    """Return the configuration of a row, and every reason why it cannot be measured.

    Parameters
    ----------
    row : Row
    base : Knobs
        Gives what the row leaves out.
    limits : VlmLimits

    Returns
    -------
    knobs : Knobs
        To be measured only if there is no problem, and no cell of the row is unreadable.
    problems : tuple of RowProblem
    """
    given = {name: value for name, value in row.numbers.items() if name not in _DERIVED}
    knobs = set_knobs(base, {**given, **row.words})
    problems: list[RowProblem] = []
    if "vision_tokens" in row.numbers and "image_crops" not in row.unreadable:
        knobs, problems = _with_vision_tokens(knobs, row, limits)
    problems += _dtype_problems(row, knobs.dtype)
    unsure = row.unreadable | {problem.column for problem in problems}
    # The side of a crop that the file does not have is that of its vision tokens.
    from_tokens = "vision_tokens" in row.numbers and "image_pixels" not in row.numbers
    renamed = {"image_pixels": "vision_tokens"} if from_tokens else {}
    return knobs, (*problems, *_model_problems(knobs, limits, unsure, renamed))


def _with_vision_tokens(
    knobs: Knobs, row: Row, limits: VlmLimits
) -> tuple[Knobs, list[RowProblem]]:
    """Return the configuration with the side of a crop that gives the row's vision tokens."""
    tokens, crops = row.numbers["vision_tokens"], knobs.image_crops
    if not limits.pixel_step or "image_pixels" in row.numbers:
        side = row.numbers.get("image_pixels", limits.image_pixels)
        knobs = replace(knobs, image_pixels=side)
        made = knobs.vision_tokens(limits)
        if tokens == made:
            return knobs, []
        reason = f"image_crops = {crops} of image_pixels = {side} make {made}"
        return knobs, [_tokens_problem(tokens, f"{made} ({reason})", "correct one of them")]
    root = math.isqrt(tokens // crops)
    if crops * root**2 == tokens:
        return replace(knobs, image_pixels=root * limits.pixels_per_token), []
    possible = [crops * side**2 for side in (root, root + 1) if side]
    rule = f"the square of a whole number for each of image_crops = {crops}"
    cure = f"try {' or '.join(map(str, possible))}"
    return knobs, [_tokens_problem(tokens, rule, cure)]


def _tokens_problem(tokens: int, rule: str, cure: str) -> RowProblem:
    return RowProblem("vision_tokens", f"vision_tokens = {tokens} is not {rule}; {cure}")


def _dtype_problems(row: Row, dtype: str) -> Iterator[RowProblem]:
    """Yield the bytes that are not those of the dtype, if it is known."""
    wanted = row.numbers.get("dtype_bytes")
    size = DTYPE_BYTES.get(dtype)
    if None in (wanted, size) or wanted == size or "dtype" in row.unreadable:
        return
    fitting = [name for name, each in DTYPE_BYTES.items() if each == wanted]
    cure = f"measure in {' or '.join(fitting)}" if fitting else "correct it"
    yield RowProblem(
        "dtype_bytes", f"dtype_bytes = {wanted} is not {size}, those of {dtype}; {cure}"
    )


def _model_problems(
    knobs: Knobs, limits: VlmLimits, unsure: frozenset[str], renamed: dict[str, str]
) -> Iterator[RowProblem]:
    """Yield what the model cannot run, but for knobs whose value or bounds are not known."""
    if unsure & _LENGTHS:
        unsure |= {"prompt_tokens"}
    for problem in knob_problems(knobs, limits):
        name = problem.split(" = ", 1)[0]
        if name not in unsure:
            yield RowProblem(renamed.get(name, name), f"{problem}; correct or remove the row")
