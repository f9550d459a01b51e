"""OpenTelemetry spans in OTLP's JSON encoding, a line or a document a batch of them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from bayeslat.traces.formats.content import refuse
from bayeslat.traces.importers.importer import Tally
from bayeslat.traces.importers.json_rows import read_lines
from bayeslat.traces.importers.json_stream import open_json

__all__ = ["Attribute", "Event", "Span", "number_of", "read_spans", "values_of"]

_HEAD_BYTES = 1 << 16

type Scalar = str | float | int | bool


class _Value(msgspec.Struct, gc=False):
    """A value in a member named for its type; 64-bit whole numbers are text."""

    stringValue: str | None = None
    intValue: str | int | None = None
    doubleValue: float | str | None = None
    boolValue: bool | None = None


class Attribute(msgspec.Struct, gc=False):
    """A name and a value."""

    key: str
    value: _Value = msgspec.field(default_factory=_Value)


class Event(msgspec.Struct, gc=False):
    """Something that happened during a span."""

    name: str
    attributes: list[Attribute] = []


class Span(msgspec.Struct, gc=False):
    """A piece of work, with what is known of it."""

    name: str
    startTimeUnixNano: str | int = 0
    endTimeUnixNano: str | int = 0
    attributes: list[Attribute] = []
    events: list[Event] = []


class _Scope(msgspec.Struct, gc=False):
    name: str = ""


class _ScopeSpans(msgspec.Struct, gc=False):
    scope: _Scope = msgspec.field(default_factory=_Scope)
    spans: list[Span] = []


class _Resource(msgspec.Struct, gc=False):
    attributes: list[Attribute] = []


class _ResourceSpans(msgspec.Struct, gc=False):
    resource: _Resource = msgspec.field(default_factory=_Resource)
    scopeSpans: list[_ScopeSpans] = []


class _Export(msgspec.Struct, gc=False):
    resourceSpans: list[_ResourceSpans]


def read_spans(path: Path, tally: Tally) -> Iterator[tuple[str, list[Span]]]:
    """Read the spans of a file, some at a time, with the scope that each group is of.

    Parameters
    ----------
    path : Path
        JSON Lines, as collectors write them, or one document.
    tally : Tally

    Yields
    ------
    scope : str
        What made the spans.
    spans : list of Span

    Raises
    ------
    TraceError
        The file holds no spans, or is a document that is cut short.
    """
    for resource in _resources(path, tally):
        for group in resource.scopeSpans:
            yield group.scope.name, group.spans


def values_of(attributes: Sequence[Attribute]) -> dict[str, Scalar]:
    """Return attributes by name; those of no plain type are left out."""
    found: dict[str, Scalar] = {}
    for attribute in attributes:
        value = _plain(attribute.value)
        if value is not None:
            found[attribute.key] = value
    return found


def _plain(value: _Value) -> Scalar | None:
    """Return a value as it is meant."""
    if value.doubleValue is not None:
        return number_of(value.doubleValue)
    if value.intValue is not None:
        return _whole(value.intValue)
    if value.stringValue is not None:
        return value.stringValue
    return value.boolValue


def _whole(value: int | str) -> int | float:
    """Return a whole number; OTLP writes those of 64 bits as text."""
    try:
        return int(value)
    except ValueError:
        return math.nan


def number_of(value: float | str) -> float:
    """Return a number, NaN where there is none; OTLP writes NaN and Infinity as text."""
    try:
        return float(value)
    except ValueError:
        return math.nan


def _resources(path: Path, tally: Tally) -> Iterator[_ResourceSpans]:
    """Give the spans of each resource."""
    if _has_one_a_line(path):
        for exports in read_lines(path, tally, _Export):
            for export in exports:
                yield from export.resourceSpans
        return
    found = False
    with open_json(path) as stream:
        if stream.peek() != "{":
            raise _no_spans(path)
        for key in stream.members():
            if key == "resourceSpans":
                found = True
                for _ in stream.elements():
                    yield stream.read(_ResourceSpans)
    if not found:
        raise _no_spans(path)


def _no_spans(path: Path) -> Exception:
    return refuse(path, "holds no 'resourceSpans'; name a file of OpenTelemetry spans in JSON")


def _has_one_a_line(path: Path) -> bool:
    """Tell whether the first line is a whole object, or too long to tell."""
    try:
        with path.open("rb") as file:
            first, newline, _ = file.read(_HEAD_BYTES).lstrip().partition(b"\n")
    except OSError as error:
        raise refuse(path, f"cannot be opened ({error.strerror}); check it") from error
    return first.rstrip().endswith(b"}") or not newline
