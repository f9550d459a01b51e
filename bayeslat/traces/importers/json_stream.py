"""Reading a JSON document of any size piece by piece, with little of it in memory."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import msgspec
import numpy as np
from pydantic_core import from_json

from bayeslat.errors import TraceError
from bayeslat.traces.formats.content import refuse
from bayeslat.traces.importers.json_structure import find_structure

__all__ = ["JsonStream", "decode", "open_json"]

_CHUNK_BYTES = 1 << 18  # of larger ones the objects leave the processor's cache
_FIRST_LOOK_BYTES = 1 << 10
_LONGEST_NAME_BYTES = 1 << 16
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_BLANK = b" \t\r\n"
_KEY = re.compile(rb'\s*("(?:[^"\\]|\\.)*")\s*:\s*(?=\S)')
_SCALAR = re.compile(rb"[^\s,\]}]+(?=[\s,\]}])")


@contextmanager
def open_json(path: Path) -> Iterator[JsonStream]:
    """Open a file of one or several JSON documents.

    Raises
    ------
    TraceError
        The file cannot be opened, or, while it is read, is no JSON or cut short.
    """
    try:
        with path.open("rb") as file:
            yield JsonStream(file, path)
    except OSError as error:
        raise refuse(path, f"cannot be opened ({error.strerror}); check it") from error


def decode[T](text: bytes, kind: type[T]) -> T:
    """Return JSON text as a type; fields that it does not have are passed over.

    Raises
    ------
    ValueError
        The text is no JSON, or of another type; the message says where.
    """
    try:
        return msgspec.json.decode(text, type=kind)
    except msgspec.ValidationError:
        raise
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        # Python writes NaN and Infinity, which are no JSON. What nests too deeply is a ValueError
        # to the other reader.
        return msgspec.convert(from_json(text), type=kind)


class JsonStream:
    """A position in a JSON file that only moves forwards.

    Each value is entered (`members`, `elements`), read (`read`, `batches`) or passed over (`skip`);
    one that is left alone is passed over.
    """

    def __init__(self, file: BinaryIO, path: Path) -> None:
        self._file = file
        self._path = path
        self._data = self._read_on(_CHUNK_BYTES).removeprefix(_BYTE_ORDER_MARK)
        self._at = 0
        self._values = 0

    def documents(self) -> Iterator[None]:
        """Stop before each document of the file."""
        while self._next_byte():
            yield from self._visit()

    def peek(self) -> str:
        """Return the first character of the next value."""
        found = self._next_byte()
        if not found:
            raise self._cut_short()
        return found.decode("latin-1")

    def members(self) -> Iterator[str]:
        """Enter an object, and stop before the value of each member."""
        self._enter("{")
        while (found := self._next_byte()) != b"}":
            if found == b",":
                self._at += 1
            key = self._key()
            for _ in self._visit():
                yield key
        self._at += 1

    def elements(self) -> Iterator[None]:
        """Enter an array, and stop before each element."""
        self._enter("[")
        while (found := self._next_byte()) != b"]":
            if found == b",":
                self._at += 1
            yield from self._visit()
        self._at += 1

    def read[T](self, kind: type[T]) -> T:
        """Read a value, which has to fit in memory.

        Raises
        ------
        TraceError
            It is of another type.
        """
        text = b"".join(self._pieces())
        try:
            return decode(text, kind)
        except ValueError as error:
            raise self._wrong(str(error)) from error

    def skip(self) -> None:
        """Pass over a value."""
        for _ in self._pieces():
            pass

    def batches(self) -> Iterator[bytes]:
        """Read an array in pieces, each an array of some of its elements as JSON text."""
        self._enter("[")
        while True:
            end, closed = self._last_boundary()
            text = self._data[self._at : end].strip(_BLANK + b",")
            if text:
                yield b"[" + text + b"]"
            self._at = end + closed
            if closed:
                return

    def _visit(self) -> Iterator[None]:
        """Stop before a value, and pass over it if it was left alone."""
        before = self._values
        yield
        if self._values == before:
            self.skip()

    def _enter(self, bracket: str) -> None:
        """Step over the bracket that opens a value."""
        found = self.peek()
        if found != bracket:
            kind = "an object" if bracket == "{" else "an array"
            raise self._wrong(f"expected {kind}, found {found!r}")
        self._values += 1
        self._at += 1

    def _key(self) -> str:
        """Step over a member's name and its colon."""
        match = self._match(_KEY)
        try:
            return msgspec.json.decode(match[1], type=str)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise self._no_json() from error

    def _match(self, pattern: re.Pattern[bytes]) -> re.Match[bytes]:
        """Step over what a pattern describes, which is short."""
        while (match := pattern.match(self._data, self._at)) is None:
            if len(self._data) - self._at > _LONGEST_NAME_BYTES:
                raise self._no_json()
            if not self._extend():
                raise self._cut_short()
        self._at = match.end()
        return match

    def _pieces(self) -> Iterator[memoryview]:
        """Give the text of the next value, and move behind it."""
        first = self.peek()
        self._values += 1
        if first not in '[{"':
            match = self._match(_SCALAR)
            yield memoryview(match[0])
            return
        depth, in_string, width = 0, False, _FIRST_LOOK_BYTES
        while True:
            piece = self._ahead(width)
            found = find_structure(piece, in_string)
            if first == '"':
                closes = found.quotes[0 if in_string else 1 :]
            else:
                closes = found.brackets[depth + found.depth == 0]
            if len(closes):
                length = int(closes[0]) + 1
                yield piece[:length]
                self._at += length
                return
            yield piece
            in_string = found.in_string
            depth += int(found.depth[-1]) if len(found.depth) else 0
            self._at += len(piece)
            width *= 8  # most values are short
            if self._at == len(self._data) and not self._extend():
                raise self._cut_short()

    def _ahead(self, width: int) -> memoryview:
        """Return what comes next in memory, some bytes of it, not ending in a backslash."""
        end = min(self._at + width, len(self._data))
        while self._data[end - 1 : end] == b"\\" and end < len(self._data):
            end += 1
        return memoryview(self._data)[self._at : end]

    def _last_boundary(self) -> tuple[int, bool]:
        """Return where the last whole element in memory ends, and whether the array ends there."""
        while True:
            found = find_structure(memoryview(self._data)[self._at :])
            ends = np.flatnonzero(found.depth < 0)
            if len(ends):
                return self._at + int(found.brackets[ends[0]]), True
            wholes = found.brackets[found.depth == 0]
            last = int(wholes[-1]) + 1 if len(wholes) else 0
            flat = not len(found.depth) or found.depth[-1] == 0
            if flat and not found.in_string:  # what follows are numbers, or strings that are whole
                after = max(last, int(found.quotes[-1]) + 1 if len(found.quotes) else 0)
                last = max(after, self._data.rfind(b",", self._at + after) - self._at)
            elif flat and len(found.quotes) > 1:
                last = max(last, int(found.quotes[-2]) + 1)
            if last:
                return self._at + last, False
            if not self._extend():
                raise self._cut_short()

    def _next_byte(self) -> bytes:
        """Step over blanks and return the byte that follows; none at the end of the file."""
        while True:
            while self._data[self._at : self._at + 1] in (b" ", b"\t", b"\r", b"\n"):
                self._at += 1
            if self._at < len(self._data):
                return self._data[self._at : self._at + 1]
            if not self._extend():
                return b""

    def _extend(self) -> bool:
        """Read on, and forget what was passed; False at the end of the file."""
        rest = self._data[self._at :]
        more = self._read_on(max(_CHUNK_BYTES, len(rest)))
        self._data, self._at = rest + more, 0
        return bool(more)

    def _read_on(self, size: int) -> bytes:
        """Return what comes next in the file, not ending in a backslash."""
        found = self._file.read(size)
        while found.endswith(b"\\") and (next_byte := self._file.read(1)):
            found += next_byte
        return found

    def _cut_short(self) -> TraceError:
        return refuse(
            self._path,
            "the file is cut short, in the middle of its JSON; copy it or run the tool again",
        )

    def _no_json(self) -> TraceError:
        where = self._file.tell() - len(self._data) + self._at
        return refuse(
            self._path, f"is no JSON from byte {where} on; name a file that the tool wrote"
        )

    def _wrong(self, what: str) -> TraceError:
        where = self._file.tell() - len(self._data) + self._at
        return refuse(
            self._path,
            f"its content is not that of the format ({what}, before byte {where}); name a file of "
            "this format",
        )
