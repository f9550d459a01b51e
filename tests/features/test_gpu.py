"""One entry of the hardware table: its rules, its derived values, the folding of names."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from bayeslat.features.gpu import FIELDS, PEAKS, Gpu, fold_name

MINIMAL = {
    "key": "toy",
    "name": "Toy",
    "family": "toys",
    "mem_bw_GBps": 100,
    "fp16_tflops": 2,
    "boost_GHz": 1,
    "l2_MB": 4,
}


def test_fields_are_the_numbers_that_are_set() -> None:
    gpu = Gpu.model_validate(MINIMAL | {"num_sm": 3, "aliases": ["Toy 1"]})
    assert gpu.fields() == {
        "mem_bw_GBps": 100.0,
        "fp16_tflops": 2.0,
        "peak_tflops": 2.0,
        "num_sm": 3.0,
        "boost_GHz": 1.0,
        "l2_MB": 4.0,
    }
    assert all(isinstance(value, float) for value in gpu.fields().values())


def test_every_numeric_field_can_be_used_in_expressions() -> None:
    texts = {"key", "name", "vendor", "family", "source", "aliases"}
    assert set(FIELDS) == set(Gpu.model_fields) - texts | {"peak_tflops"}


@pytest.mark.parametrize(
    ("peaks", "expected"),
    [
        ({"bf16_tflops": 5, "fp32_tflops": 1, "fp8_tflops": 10}, 5),
        ({"fp16_tflops": 0.1, "fp32_tflops": 6}, 6),  # Pascal cards without fast fp16
        ({"fp8_tflops": 7, "fp4_tflops": 14}, 14),
    ],
)
def test_peak_is_the_best_of_sixteen_bits_or_more(peaks: dict[str, float], expected: float) -> None:
    values = {name: value for name, value in MINIMAL.items() if name not in PEAKS}
    assert Gpu.model_validate(values | peaks).peak_tflops == expected


def test_an_entry_cannot_be_changed() -> None:
    gpu = Gpu.model_validate(MINIMAL)
    with pytest.raises(ValidationError, match="frozen"):
        gpu.boost_GHz = 2.0  # type: ignore[misc]


@pytest.mark.parametrize(
    "change",
    [
        {"mem_bw_GBps": 0},
        {"mem_bw_GBps": float("inf")},
        {"mem_bw_GBps": True},
        {"mem_bw_GBps": "100"},
        {"boost_GHz": 1980},
        {"num_sm": 1.5},
        {"fp16_tflops": None},
        {"unknown": 1},
        {"key": " - "},
    ],
)
def test_a_value_that_breaks_a_rule_is_refused(change: dict[str, object]) -> None:
    Gpu.model_validate(MINIMAL)  # the unchanged entry is right, so the change alone is refused
    with pytest.raises(ValidationError):
        Gpu.model_validate(MINIMAL | change)


@pytest.mark.parametrize("family", ["Blackwell RTX", "blackwell-rtx", " BLACKWELL_rtx"])
def test_a_family_has_one_spelling(family: str) -> None:
    assert Gpu.model_validate(MINIMAL | {"family": family}).family == "blackwell_rtx"


@given(st.text(alphabet="aB1 -_\t", max_size=12))
def test_folding_keeps_the_letters_and_digits_alone(name: str) -> None:
    expected = "".join(letter for letter in name if letter.isalnum()).lower()
    assert fold_name(name) == expected
    assert fold_name(fold_name(name)) == expected
