"""A document is read piece by piece as if it had been read at once."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bayeslat.errors import TraceError
from bayeslat.traces.importers import json_stream
from bayeslat.traces.importers.json_stream import JsonStream
from bayeslat.traces.importers.json_structure import find_structure

PATH = Path("a.json")
TEXT = st.text(alphabet='ab"\\[]{},: \né', max_size=8)
SCALAR = (
    st.none() | st.booleans() | st.integers(-(10**6), 10**6) | st.floats(allow_nan=False) | TEXT
)
VALUE = st.recursive(
    SCALAR,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=10,
)


@pytest.fixture(autouse=True)
def _small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_stream, "_CHUNK_BYTES", 7)
    monkeypatch.setattr(json_stream, "_FIRST_LOOK_BYTES", 3)


def stream_of(text: str) -> JsonStream:
    return JsonStream(io.BytesIO(text.encode()), PATH)


def walk(stream: JsonStream) -> Any:
    """Read a value by entering whatever can be entered."""
    match stream.peek():
        case "{":
            return {key: walk(stream) for key in stream.members()}
        case "[":
            return [walk(stream) for _ in stream.elements()]
        case _:
            return stream.read(Any)


@pytest.mark.parametrize("indent", [None, 2])
@settings(max_examples=50)
@given(value=st.lists(VALUE, max_size=4) | st.dictionaries(TEXT, VALUE, max_size=4))
def test_walking_gives_the_document(indent: int | None, value: Any) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_stream, "_CHUNK_BYTES", 7)
        assert walk(stream_of(json.dumps(value, indent=indent))) == value


@given(value=st.dictionaries(TEXT, VALUE, min_size=1, max_size=4), ascii_only=st.booleans())
@example(value={"": '"'}, ascii_only=True)  # the first piece ends in a backslash
def test_members_are_read_or_passed_over(value: dict[str, Any], ascii_only: bool) -> None:
    stream = stream_of(json.dumps(value, ensure_ascii=ascii_only))
    found = {
        key: stream.read(Any) if number % 2 == 0 else None
        for number, key in enumerate(stream.members())
    }
    assert found == {
        key: each if number % 2 == 0 else None for number, (key, each) in enumerate(value.items())
    }


@given(rows=st.lists(VALUE, max_size=8), after=SCALAR)
def test_batches_hold_every_element_once(rows: list[Any], after: Any) -> None:
    stream = stream_of(json.dumps({"rows": rows, "after": after}))
    found: list[Any] = []
    for key in stream.members():
        if key == "rows":
            for text in stream.batches():
                found += json.loads(text)
        else:
            assert stream.read(Any) == after
    assert found == rows


@given(values=st.lists(st.dictionaries(TEXT, SCALAR, max_size=2), max_size=5))
def test_documents_follow_each_other(values: list[Any]) -> None:
    stream = stream_of("\n".join(map(json.dumps, values)))
    assert [walk(stream) for _ in stream.documents()] == values


@given(value=st.dictionaries(TEXT, VALUE, min_size=1, max_size=3), part=st.floats(0, 0.999))
def test_every_cut_is_noticed(value: dict[str, Any], part: float) -> None:
    text = json.dumps(value)
    cut = text.encode()[: int(part * len(text.encode()))]
    with pytest.raises(TraceError, match="cut short"):
        walk(JsonStream(io.BytesIO(cut), PATH))


@given(text=st.text(alphabet='ab"\\[]{}', max_size=30), inside=st.booleans())
def test_structure_is_that_of_reading_byte_by_byte(text: str, inside: bool) -> None:
    if text.endswith("\\"):
        text += "a"
    found = find_structure(text.encode(), inside)
    quotes, brackets, depths, depth, escaped = [], [], [], 0, False
    for place, letter in enumerate(text):
        if escaped:
            escaped = False
        elif letter == "\\":
            # Outside of a string JSON has none; there both would be wrong.
            escaped = True
        elif letter == '"':
            quotes.append(place)
            inside = not inside
        elif letter in "[]{}" and not inside:
            depth += 1 if letter in "[{" else -1
            brackets.append(place)
            depths.append(depth)
    assert found.quotes.tolist() == quotes
    assert found.in_string == inside
    if "\\" not in text:
        assert found.brackets.tolist() == brackets
        assert found.depth.tolist() == depths


def test_what_is_no_object_or_array_is_said() -> None:
    with pytest.raises(TraceError, match=r"expected an object, found '3'"):
        list(stream_of("3").members())
    with pytest.raises(TraceError, match=r"expected an array, found '\{'"):
        list(stream_of("{}").batches())
    with pytest.raises(TraceError, match=r"a\.json: its content is not that of the format"):
        stream_of('{"a": 1}').read(list[int])


def test_a_file_without_end_is_not_read_into_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_stream, "_LONGEST_NAME_BYTES", 100)

    class Endless(io.RawIOBase):
        given = 0

        def read(self, size: int = -1) -> bytes:
            self.given += size
            assert self.given < 1000
            return b"x" * size

    first = io.BytesIO(b"{")
    endless = Endless()

    class File(io.RawIOBase):
        def read(self, size: int = -1) -> bytes:
            return first.read(size) or endless.read(size)

        def tell(self) -> int:
            return endless.given

    with pytest.raises(TraceError, match="is no JSON from byte"):
        list(JsonStream(File(), PATH).members())  # type: ignore[arg-type]
