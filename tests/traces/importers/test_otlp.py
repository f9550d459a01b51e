"""Values of OpenTelemetry spans."""

from __future__ import annotations

import math

import msgspec
import pytest

from bayeslat.traces.importers.otlp import Attribute, number_of, values_of


@pytest.mark.parametrize("text", ["", "179 00", "1e", "nan"])
def test_what_is_no_number_is_nan(text: str) -> None:
    assert math.isnan(number_of(text))


def test_whole_numbers_of_64_bits_are_text() -> None:
    content = (
        '[{"key": "a", "value": {"intValue": "-42"}}, {"key": "b", "value": {"intValue": "x"}}]'
    )
    found = values_of(msgspec.json.decode(content, type=list[Attribute]))
    assert found["a"] == -42
    assert isinstance(found["b"], float)
    assert math.isnan(found["b"])
