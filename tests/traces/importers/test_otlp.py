"""Values of OpenTelemetry spans, in the ways that tools write them."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from bayeslat.traces.importers.importer import Tally
from bayeslat.traces.importers.otlp import read_spans
from bayeslat.traces.importers.span_columns import Spans


def line(value: Any, **members: Any) -> str:
    """Return a line with one span that has one attribute."""
    span = {"name": "x", "attributes": [{"key": "a", "value": value}], **members}
    return json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}) + "\n"


def read(folder: Path, *lines: str) -> tuple[list[Spans], Tally]:
    path, tally = folder / "spans.jsonl", Tally()
    path.write_text("".join(lines), encoding="utf-8")
    return list(read_spans(path, tally)), tally


@pytest.mark.parametrize("text", ["", "179 00", "1e", "nan"])
def test_what_is_no_number_is_nan(text: str, tmp_path: Path) -> None:
    (spans,), _ = read(tmp_path, line({"intValue": text}, startTimeUnixNano=text))
    assert math.isnan(spans.attributes.numbers("a")[0])
    assert math.isnan(spans.start_ns[0])


@pytest.mark.parametrize(
    ("value", "number"),
    [
        ({"intValue": "-42"}, -42.0),  # 64-bit whole numbers are text
        ({"intValue": -42}, -42.0),
        ({"doubleValue": 0.5}, 0.5),
        ({"doubleValue": "0.5"}, 0.5),
        ({"doubleValue": "NaN"}, math.nan),
        ({"doubleValue": math.nan}, math.nan),
        ({"intValue": "x"}, math.nan),
        ({"stringValue": "7"}, math.nan),
        ({"boolValue": True}, math.nan),
        ({"arrayValue": {"values": [{"intValue": "1"}]}}, math.nan),
        (None, math.nan),
    ],
)
def test_numbers_may_be_written_in_several_ways(value: Any, number: float, tmp_path: Path) -> None:
    (spans,), tally = read(tmp_path, line(value))
    assert spans.attributes.numbers("a").tolist() == pytest.approx([number], nan_ok=True)
    assert not tally.refused


def test_a_bad_line_costs_its_own_spans_only(tmp_path: Path) -> None:
    good = [line({"stringValue": f"v{number}"}) for number in range(3)]
    no_name = line({"intValue": 1}).replace('"name"', '"title"')
    null = line({"intValue": 1}).replace('[{"name"', '[null, {"name"')
    (spans,), tally = read(tmp_path, good[0], no_name, "null\n", good[1], null, good[2], "{")
    assert spans.attributes.texts("a") == ["v0", "v1", "v2"]
    assert sum(tally.refused.values()) == 4


def test_a_document_holds_the_same_as_lines(tmp_path: Path) -> None:
    lines = [line({"intValue": str(number)}) for number in range(3)]
    (of_lines,), _ = read(tmp_path, *lines)
    resources = [json.loads(each)["resourceSpans"][0] for each in lines]
    documents, _ = read(tmp_path, json.dumps({"resourceSpans": resources}, indent=1))
    assert [each for spans in documents for each in spans.attributes.numbers("a")] == (
        of_lines.attributes.numbers("a").tolist()
    )
