"""Rows written as JSON: a line or an array element each, those that are none counted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
from pydantic_core import from_json

from bayeslat.traces.formats.content import refuse
from bayeslat.traces.importers.importer import Tally
from bayeslat.traces.importers.json_stream import decode

__all__ = ["NO_JSON", "decode_rows", "read_lines"]

NO_JSON = "no JSON, or cut short"

_BLOCK_BYTES = 1 << 22
_LONGEST_LINE_BYTES = 1 << 28
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def read_lines[T](path: Path, tally: Tally, kind: type[T]) -> Iterator[list[T]]:
    """Read a file with one JSON value a line, some lines at a time.

    Parameters
    ----------
    path : Path
    tally : Tally
        Counts the lines that are no JSON (a killed writer leaves one), or of another type.
    kind : type
        Of a line; fields that it does not have are passed over.

    Yields
    ------
    list of T

    Raises
    ------
    TraceError
        The file cannot be opened, is empty, or has no line of the type.
    """
    good, example = 0, ""
    for block in _blocks(path):
        rows, problem = _decode_block(block, tally, kind)
        good += len(rows)
        example = example or problem
        if rows:
            yield rows
    if not good:
        what = f"no line is of this format (the first: {example})" if example else "it is empty"
        raise refuse(path, f"{what}; name a file of this format, with one JSON object a line")


def decode_rows[T](text: bytes, tally: Tally, kind: type[T]) -> list[T]:
    """Return the elements of a JSON array that are of a type, and count those that are not.

    Parameters
    ----------
    text : bytes
        The array.
    tally : Tally
    kind : type

    Returns
    -------
    list of T
    """
    try:
        return decode(text, list[kind])  # type: ignore[valid-type]
    except ValueError:
        pass
    rows = []
    for element in _elements(text):
        try:
            rows.append(decode(element, kind))
        except ValueError as error:
            tally.refuse(_reason(error))
    return rows


def _elements(text: bytes) -> list[bytes]:
    """Return the elements of an array as JSON text."""
    try:
        return [bytes(element) for element in msgspec.json.decode(text, type=list[msgspec.Raw])]
    except (msgspec.DecodeError, UnicodeDecodeError):
        pass
    try:
        return [msgspec.json.encode(element) for element in from_json(text)]
    except ValueError:
        return [text]  # counted as one that is no JSON


def _blocks(path: Path) -> Iterator[bytes]:
    """Give the file in pieces of whole lines."""
    try:
        with path.open("rb") as file:
            rest = file.read(len(_BYTE_ORDER_MARK)).removeprefix(_BYTE_ORDER_MARK)
            while piece := file.read(_BLOCK_BYTES):
                lines, newline, rest_of = (rest + piece).rpartition(b"\n")
                rest = rest_of
                if newline:
                    yield lines
                elif len(rest) > _LONGEST_LINE_BYTES:
                    raise refuse(path, "its lines have no end: it is not one JSON object a line")
            if rest.strip():
                yield rest
    except OSError as error:
        raise refuse(path, f"cannot be opened ({error.strerror}); check it") from error


def _decode_block[T](block: bytes, tally: Tally, kind: type[T]) -> tuple[list[T], str]:
    """Return the rows of some lines, and what is wrong with the first that is none."""
    try:
        return msgspec.json.Decoder(kind).decode_lines(block), ""
    except ValueError:
        pass
    rows, example = [], ""
    for line in block.split(b"\n"):
        if not line.strip():
            continue
        try:
            rows.append(decode(line, kind))
        except ValueError as error:
            example = example or str(error)
            tally.refuse(_reason(error))
    return rows, example


def _reason(error: ValueError) -> str:
    """Return why a row is none: of the wrong type, with where, or no JSON at all."""
    if isinstance(error, msgspec.ValidationError):
        return f"not as the format has it: {error}"
    return NO_JSON
