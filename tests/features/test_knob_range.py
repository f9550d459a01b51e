from __future__ import annotations

import pytest

from bayeslat.errors import InputError
from bayeslat.features.knob_range import KnobRange, parse_knob, parse_knobs


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("batch_size=1:64", KnobRange("batch_size", low=1, high=64, whole=True)),
        ("context=128:8192:log", KnobRange("context", low=128, high=8192, log=True, whole=True)),
        ("rate = 0.5 : 2", KnobRange("rate", low=0.5, high=2)),
        ("top_k=1,2,8", KnobRange("top_k", values=(1, 2, 8))),
        ("task=qa, captioning", KnobRange("task", values=("qa", "captioning"))),
        ("task=qa", KnobRange("task", values=("qa",))),
        ("task=1,2shot", KnobRange("task", values=("1", "2shot"))),
        ("blocks=48", KnobRange("blocks", values=(48,))),
        ("k=1:2.0", KnobRange("k", low=1, high=2)),
        ("rate=-1.5,2", KnobRange("rate", values=(-1.5, 2))),
    ],
)
def test_every_form(text: str, expected: KnobRange) -> None:
    assert parse_knob(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("batch_size", "write name=low:high"),
        ("=1:2", "write name=low:high"),
        ("k=", "write name=low:high"),
        ("k=1:2:cubic", "write name=low:high"),
        ("k=1:2:log:3", "write name=low:high"),
        ("k=2:1", "below the high end"),
        ("k=1:1", "below the high end"),
        ("k=0:9:log", "start above 0"),
        ("k=a:9", "'a' is not a finite number"),
        ("k=1:inf", "'inf' is not a finite number"),
        ("k=1..2", "'1..2' is not a finite number"),
        ("k=1:99999999999999999999", "'99999999999999999999' is beyond"),
        ("k=1,two", "'two' is not a finite number"),
        ("k=1,,2", "a value is empty"),
    ],
)
def test_a_range_that_is_none(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        parse_knob(text)
    assert repr(text) in str(caught.value)


def test_what_is_wrong_with_each_range_is_told_at_once() -> None:
    assert parse_knobs(["b=1:4", "c=2,3"]) == (parse_knob("b=1:4"), parse_knob("c=2,3"))
    with pytest.raises(InputError, match=r"'b=4:1': the low end.*; .*'c': write.*'d=x:2'"):
        parse_knobs(["a=1:2", "b=4:1", "c", "d=x:2"])
