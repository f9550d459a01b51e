"""OpenTelemetry spans in OTLP's JSON encoding, a line or a document a batch of them.

Arrow's reader makes columns of lines that are as OTLP has them. Others are looked at one by one,
and those that can be used are written anew for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.json as pa_json

from bayeslat.traces.formats.content import refuse
from bayeslat.traces.importers.importer import Tally
from bayeslat.traces.importers.json_rows import read_columns
from bayeslat.traces.importers.json_stream import open_json
from bayeslat.traces.importers.span_columns import Spans, filled

__all__ = ["read_spans"]

_HEAD_BYTES = 1 << 16


class _Value(msgspec.Struct, gc=False, omit_defaults=True):
    """A value in a member named for its type; 64-bit whole numbers are text."""

    stringValue: str | None = None
    intValue: str | int | None = None
    doubleValue: float | str | None = None


class _Attribute(msgspec.Struct, gc=False, omit_defaults=True):
    key: str
    value: _Value | None = None


class _Event(msgspec.Struct, gc=False, omit_defaults=True):
    name: str
    attributes: list[_Attribute] | None = None


class _Span(msgspec.Struct, gc=False, omit_defaults=True):
    name: str
    startTimeUnixNano: str | int | None = None
    endTimeUnixNano: str | int | None = None
    attributes: list[_Attribute] | None = None
    events: list[_Event] | None = None


class _Scope(msgspec.Struct, gc=False, omit_defaults=True):
    name: str | None = None


class _ScopeSpans(msgspec.Struct, gc=False, omit_defaults=True):
    scope: _Scope | None = None
    spans: list[_Span] | None = None


class _ResourceSpans(msgspec.Struct, gc=False, omit_defaults=True):
    scopeSpans: list[_ScopeSpans] | None = None


class _Export(msgspec.Struct, gc=False, omit_defaults=True):
    resourceSpans: list[_ResourceSpans]


def _schema(whole: pa.DataType) -> pa.Schema:
    """Return the columns that are needed, with whole numbers as text or not."""
    value = {"stringValue": pa.string(), "intValue": whole, "doubleValue": pa.float64()}
    attributes = pa.list_(_struct(key=pa.string(), value=_struct(**value)))
    events = pa.list_(_struct(name=pa.string(), attributes=attributes))
    times = {"startTimeUnixNano": whole, "endTimeUnixNano": whole}
    span = _struct(name=pa.string(), **times, attributes=attributes, events=events)
    scope = _struct(scope=_struct(name=pa.string()), spans=pa.list_(span))
    return pa.schema({"resourceSpans": pa.list_(_struct(scopeSpans=pa.list_(scope)))})


def _struct(**members: pa.DataType) -> pa.DataType:
    return pa.struct(list(members.items()))


# Of 64 bits, whole numbers should be text, and some tools write them as numbers.
_SCHEMAS = (_schema(pa.string()), _schema(pa.int64()))


def read_spans(path: Path, tally: Tally) -> Iterator[Spans]:
    """Read the spans of a file, some at a time.

    Parameters
    ----------
    path : Path
        JSON Lines, as collectors write them, or one document.
    tally : Tally

    Yields
    ------
    Spans

    Raises
    ------
    TraceError
        The file holds no spans, or is a document that is cut short.
    """
    if not _has_one_a_line(path):
        yield from _read_document(path)
        return
    yield from read_columns(path, tally, _Export, _parse_good, _parse_rows)


def _read_document(path: Path) -> Iterator[Spans]:
    found = False
    with open_json(path) as stream:
        if stream.peek() != "{":
            raise _no_spans(path)
        for key in stream.members():
            if key == "resourceSpans":
                found = True
                for _ in stream.elements():
                    yield _parse_rows([_Export([stream.read(_ResourceSpans)])])
    if not found:
        raise _no_spans(path)


def _parse_good(block: bytes) -> Spans | None:
    """Return the spans of some lines if all of these are good."""
    if not block.startswith(b"{"):  # Arrow 26 ends the process at a null
        return None
    for schema in _SCHEMAS:
        try:
            return _parse(block, schema)
        except pa.ArrowException:
            continue
    return None


def _parse_rows(exports: list[_Export]) -> Spans:
    """Return spans whose values need not be written in the usual way."""
    for span in _spans(exports):
        span.startTimeUnixNano = _text(span.startTimeUnixNano)
        span.endTimeUnixNano = _text(span.endTimeUnixNano)
        of_events = [event.attributes or [] for event in span.events or []]
        for attribute in chain(span.attributes or [], *of_events):
            if attribute.value is not None:
                attribute.value.intValue = _text(attribute.value.intValue)
                attribute.value.doubleValue = _number(attribute.value.doubleValue)
    return _parse(b"\n".join(map(msgspec.json.encode, exports)), _SCHEMAS[0])


def _spans(exports: list[_Export]) -> Iterator[_Span]:
    for export in exports:
        for resource in export.resourceSpans:
            for group in resource.scopeSpans or []:
                yield from group.spans or []


def _text(value: str | int | None) -> str | None:
    return None if value is None else str(value)


def _number(value: float | str | None) -> float | None:
    """Return a number, None where there is none; OTLP writes NaN and Infinity as text."""
    try:
        return None if value is None else float(value)
    except ValueError:
        return None


def _parse(block: bytes, schema: pa.Schema) -> Spans:
    """Return the spans of some lines.

    Raises
    ------
    ArrowInvalid
        A line is not as OTLP has it.
    """
    table = pa_json.read_json(
        pa.BufferReader(block),
        read_options=pa_json.ReadOptions(use_threads=False, block_size=len(block) + 1),
        parse_options=pa_json.ParseOptions(
            explicit_schema=schema, unexpected_field_behavior="ignore"
        ),
    )
    table.validate(full=True)  # names that are no UTF-8
    resources = filled(table["resourceSpans"].combine_chunks()).flatten()
    scopes = filled(filled(resources).field("scopeSpans").flatten())
    return Spans.of(scopes)


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
