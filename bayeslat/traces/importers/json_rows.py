"""Rows written as JSON: a line or an array element each, those that are none counted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import msgspec
from pydantic_core import from_json

from bayeslat.traces.formats.content import refuse
from bayeslat.traces.importers.importer import Tally
from bayeslat.traces.importers.json_stream import decode

__all__ = ["NO_JSON", "decode_rows", "read_columns", "read_lines"]

NO_JSON = "no JSON, or cut short"

_BLOCK_BYTES = 1 << 20  # of larger ones the objects leave the processor's cache
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
    decoder = msgspec.json.Decoder(kind)

    def decode_good(block: bytes) -> list[T] | None:
        try:
            return decoder.decode_lines(block) or None
        except (ValueError, RecursionError):
            return None

    yield from read_columns(path, tally, kind, decode_good, lambda rows: rows)


def read_columns[T, Columns](
    path: Path,
    tally: Tally,
    kind: type[T],
    parse_good: Callable[[bytes], Columns | None],
    parse_rows: Callable[[list[T]], Columns],
) -> Iterator[Columns]:
    """Read a file with one JSON value a line in another form than a list of rows.

    Parameters
    ----------
    path : Path
    tally : Tally
        Counts the lines that are no JSON, or of another type.
    kind : type
        Of a line.
    parse_good : callable
        From some lines to the other form; None if one of them is not good. It runs in a thread
        while the lines before are used.
    parse_rows : callable
        From good lines to the other form.

    Yields
    ------
    Columns
        Some lines in the other form.

    Raises
    ------
    TraceError
        The file cannot be opened, is empty, or has no line of the type.
    """
    good, example = False, ""
    for block, columns in _ahead(_blocks(path), parse_good):
        if columns is None:
            rows, problem = _decode_block(block, tally, kind)
            example = example or problem
            columns = parse_rows(rows) if rows else None
        if columns is not None:
            good = True
            yield columns
    if not good:
        what = f"no line is of this format (the first: {example})" if example else "it is empty"
        raise refuse(path, f"{what}; name a file of this format, with one JSON object a line")


def _ahead[T, R](items: Iterable[T], compute: Callable[[T], R]) -> Iterator[tuple[T, R]]:
    """Give items with what a function makes of each, in order, and compute the next meanwhile."""
    with ThreadPoolExecutor(1) as pool:
        held: tuple[T, Future[R]] | None = None
        for item in items:
            following = (item, pool.submit(compute, item))
            if held is not None:
                yield held[0], held[1].result()
            held = following
        if held is not None:
            yield held[0], held[1].result()


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
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    try:
        return [msgspec.json.encode(element) for element in from_json(text)]
    except ValueError:
        return [text]  # counted as one that is no JSON


def _blocks(path: Path) -> Iterator[bytes]:
    """Give the file in pieces of whole lines."""
    try:
        with path.open("rb") as file:
            rest = [file.read(len(_BYTE_ORDER_MARK)).removeprefix(_BYTE_ORDER_MARK)]
            while piece := file.read(_BLOCK_BYTES):
                lines, newline, after = piece.rpartition(b"\n")
                if newline:
                    yield b"".join([*rest, lines])
                    rest = []
                rest.append(after)
                if not newline and sum(map(len, rest)) > _LONGEST_LINE_BYTES:
                    raise refuse(path, "its lines have no end: it is not one JSON object a line")
            rest_of_file = b"".join(rest)
            if rest_of_file.strip():
                yield rest_of_file
    except OSError as error:
        raise refuse(path, f"cannot be opened ({error.strerror}); check it") from error


def _decode_block[T](block: bytes, tally: Tally, kind: type[T]) -> tuple[list[T], str]:
    """Return the rows of some lines, and what is wrong with the first that is none."""
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
