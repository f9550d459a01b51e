"""What a bundle's header says of its stages: their expressions, coordinates and parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from bayeslat.export.graph import Graph, Value
from bayeslat.export.stage_part import StagePart

__all__ = ["CountedKnobs", "describe_parts"]

type CountedKnobs = list[tuple[int, float, float]]
"""Knobs that only say how often a stage runs: the place of each, and its range."""


def describe_parts(
    parts: Sequence[StagePart], counted: Sequence[CountedKnobs], graph: Graph
) -> dict[str, Any]:
    """Return the steps that the stages need, and where each finds among them what it is made of.

    Parameters
    ----------
    parts : sequence over stage of StagePart
    counted : sequence over stage of CountedKnobs
    graph : Graph
        That the parts were made with.

    Returns
    -------
    dict
        For JSON.
    """
    coordinates = list(dict.fromkeys(each for part in parts for each in _coordinates(part)))
    values = [each for part in parts for each in (part.times, *part.parts)]
    values += [each.value for each in coordinates]
    steps, places = graph.used(values)
    with_corners = [part for part in parts if len(part.corners.pairs)]
    return {
        "steps": steps,
        "coordinates": [_coordinate(each, places) for each in coordinates],
        "corners": [_corners(part, coordinates) for part in with_corners],
        "stages": [
            _stage(part, coordinates, with_corners, places, knobs)
            for part, knobs in zip(parts, counted, strict=True)
        ],
    }


class _Coordinate(NamedTuple):
    """A coordinate of a training range."""

    value: Value
    low: float
    high: float
    moved: bool
    is_log: bool


def _coordinates(part: StagePart) -> list[_Coordinate]:
    basis = part.basis
    names = (*basis.features, *basis.watched)
    return [
        _Coordinate(value, float(low), float(high), bool(moved), name.startswith("log("))
        for name, value, low, high, moved in zip(
            names, part.coordinates, basis.low, basis.high, basis.moved, strict=True
        )
    ]


def _coordinate(each: _Coordinate, places: Mapping[int, int]) -> dict[str, Any]:
    """What the header says of a coordinate."""
    return {
        "value": _place(each.value, places),
        "low": each.low,
        "high": each.high,
        "moved": each.moved,
        "log": each.is_log,
    }


def _positions(part: StagePart, coordinates: Sequence[_Coordinate]) -> list[int]:
    """Where a stage's own coordinates are among those of all stages."""
    return [coordinates.index(each) for each in _coordinates(part)]


def _corners(part: StagePart, coordinates: Sequence[_Coordinate]) -> dict[str, Any]:
    """What the header says of a stage's empty corners: their coordinates, and the array's name."""
    own = _positions(part, coordinates)
    pairs = [[own[one], own[two]] for one, two in part.corners.pairs.tolist()]
    return {"pairs": pairs, "depth": f"{part.name} corners"}


def _place(value: Value, places: Mapping[int, int]) -> list[float | int]:
    """Offset, factor and position among the steps of the file."""
    offset, factor, step = value.record
    return [offset, factor, places[step]]


def _stage(
    part: StagePart,
    coordinates: Sequence[_Coordinate],
    with_corners: Sequence[StagePart],
    places: Mapping[int, int],
    counted: CountedKnobs,
) -> dict[str, Any]:
    """What the header says of a stage; its empty corners are a coordinate behind all others."""
    own = _positions(part, coordinates)
    corners = [at for at, each in enumerate(with_corners, len(coordinates)) if each is part]
    return {
        "name": part.name,
        "times": _place(part.times, places),
        "parts": [_place(each, places) for each in part.parts],
        "coordinates": own + corners,
        "columns": [[before, own[feature]] for before, feature in part.columns],
        "tasks": list(part.basis.tasks),
        "counting": counted,
        "walk": _walk(part, own),
        "latent": part.latent,
        **part.noise,
    }


def _walk(part: StagePart, own: Sequence[int]) -> list[list[float | int | None]]:
    """What the header says of the way beyond the range: coordinate, sign, and from where to where.

    A line goes on for ever, which has no number in JSON.
    """
    if part.walk is None:
        return []
    trail = part.walk.trail
    table = zip(trail.direction, trail.sign, trail.start, trail.end, strict=True)
    return [
        [own[at], float(sign), float(start), None if np.isinf(end) else float(end)]
        for at, sign, start, end in table
    ]
