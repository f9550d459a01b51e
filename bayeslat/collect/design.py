"""Designs: which configurations to measure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import islice, product

import numpy as np
from numpy.typing import NDArray

from bayeslat.collect.knob_space import set_knobs
from bayeslat.collect.knobs import Knobs
from bayeslat.collect.range_rules import check_ranges, did_you_mean
from bayeslat.collect.unit_cube import hypercube_points, sobol_points
from bayeslat.counted import counted
from bayeslat.errors import InputError
from bayeslat.features.knob_range import KnobRange

__all__ = ["DESIGNS", "draw_design"]

DESIGNS = ("sobol", "lhs", "grid")
"""Kinds of designs."""

_MOST_POINTS = 2**20  # points tried for distinct configurations, or n if that is more

type Row = tuple[int | str, ...]
"""Values of the knobs that have ranges, in their order."""


def draw_design(
    kind: str, ranges: Sequence[KnobRange], base: Knobs, n: int | None, seed: int
) -> tuple[Knobs, ...]:
    """Choose configurations that fill the ranges of knobs.

    Parameters
    ----------
    kind : str
        "sobol": a scrambled Sobol sequence; the first n of a longer one are the design of n.
        "lhs": a Latin hypercube: each of n equal parts of each range is met once. Where it holds
        a configuration twice, further hypercubes fill the gaps.
        "grid": all combinations of listed values, and of the low end, the middle (the geometric one
        in logs) and the high end of other ranges.
    ranges : sequence of KnobRange
        One a knob; none twice.
    base : Knobs
        Gives the knobs without a range. Where `task` has one, the task gives the lengths of prompt
        and output instead, unless these have ranges.
    n : int or None
        How many to choose; a random choice of a grid, in its order. None for all of a grid.
    seed : int

    Returns
    -------
    tuple of Knobs, dim (config,)
        All different. Whether the model can run them is not looked at.

    Raises
    ------
    InputError
        If the kind is unknown, the ranges hold no n configurations, or a range is not one of a
        knob.
    """
    _check_arguments(kind, n, seed)
    check_ranges(ranges)
    if kind == "grid":
        rows = _grid(ranges, n, seed)
    elif n is None:
        raise InputError(f"design {kind!r} needs a number of configurations; a grid does not")
    else:
        _check_count(n, math.prod(each.count for each in ranges), "the ranges hold")
        dims = max(1, len(ranges))
        points = sobol_points(dims, seed) if kind == "sobol" else hypercube_points(dims, n, seed)
        rows = _distinct(ranges, points, n)
    names = [each.name for each in ranges]
    return tuple(set_knobs(base, dict(zip(names, row, strict=True))) for row in rows)


def _check_arguments(kind: str, n: int | None, seed: int) -> None:
    if kind not in DESIGNS:
        raise InputError(f"design {kind!r} is unknown; {did_you_mean(kind, DESIGNS)}")
    if n is not None and n < 1:
        raise InputError(f"{n} configurations: a design needs 1 or more")
    if seed < 0:
        raise InputError(f"seed is {seed}; it must be at least 0")


def _check_count(n: int, possible: float, holder: str) -> None:
    if possible < n:
        raise InputError(
            f"{counted(n, 'configuration')} wanted, but {holder} {possible:.0f}; "
            "ask for fewer, or widen the ranges"
        )


def _distinct(
    ranges: Sequence[KnobRange], chunks: Iterable[NDArray[np.float64]], n: int
) -> tuple[Row, ...]:
    """Return the first n different rows at points in the unit cube."""
    found: dict[Row, None] = {}
    tried = 0
    for points in chunks:
        columns = [each.at(points[:, k]).tolist() for k, each in enumerate(ranges)]
        found |= dict.fromkeys(zip(*columns, strict=True) if columns else [()])
        tried += len(points)
        if len(found) >= n or tried >= max(_MOST_POINTS, n):
            break
    if len(found) < n:
        raise InputError(
            f"{counted(n, 'configuration')} wanted, but {tried} points hit only {len(found)}, "
            "since some are rare in logs; ask for fewer, or list the values of a grid"
        )
    return tuple(islice(found, n))


def _grid(ranges: Sequence[KnobRange], n: int | None, seed: int) -> tuple[Row, ...]:
    """Return the combinations of the levels of knobs, the last knob's changing fastest."""
    levels = [_levels(each) for each in ranges]
    size = math.prod(len(each) for each in levels)
    if n is None:
        return tuple(product(*levels))
    _check_count(n, size, "the grid holds")
    places = np.sort(np.random.default_rng(seed).choice(size, n, replace=False))
    return tuple(_combination(levels, place) for place in places.tolist())


def _combination(levels: Sequence[Row], place: int) -> Row:
    """Return the combination at a place in the grid's order."""
    row: Row = ()
    for level in reversed(levels):
        place, i = divmod(place, len(level))
        row = (level[i], *row)
    return row


def _levels(span: KnobRange) -> Row:
    if span.values:
        return tuple(dict.fromkeys(v if isinstance(v, str) else int(v) for v in span.values))
    middle = math.sqrt(span.low * span.high) if span.log else (span.low + span.high) / 2
    return tuple(dict.fromkeys((int(span.low), round(middle), int(span.high))))
