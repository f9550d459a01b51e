from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from bayeslat.collect.knobs import Knobs, check_knobs
from bayeslat.collect.limits import VlmLimits
from bayeslat.errors import InputError


def test_a_possible_configuration_is_accepted(knobs: Knobs, limits: VlmLimits) -> None:
    check_knobs(knobs, limits)


def test_vision_tokens_follow_from_crops_and_pixels(knobs: Knobs, limits: VlmLimits) -> None:
    # 2 crops of 96 px, each 3 x 3 tokens of 32 px.
    assert replace(knobs, image_pixels=96).vision_tokens(limits) == 18


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("image_crops", 0, "1 or more"),
        ("image_crops", 40, "too many: with 160 vision and 4 output tokens.*128 positions"),
        ("image_pixels", 100, "multiple of 32.*try 96"),
        ("image_pixels", 16, "multiple of 32.*try 32"),
        ("image_pixels", 0, "multiple of 32.*try 32"),
        ("prompt_tokens", 4, "2 crops need 4 markers"),
        ("prompt_tokens", 117, "128 positions"),
        ("output_tokens", 0, "1 or more"),
        ("top_k", 0, "1 to 8"),
        ("top_k", 9, "8 experts"),
        ("active_blocks", 1, "first 2"),
        ("active_blocks", 5, "4 blocks"),
        ("batch_size", 0, "1 or more"),
        ("dtype", "int8", "not one of float32, bfloat16"),
        ("task", "chess", "not one of qa, captioning"),
    ],
)
def test_an_impossible_value_is_refused_with_the_reason(
    knobs: Knobs, limits: VlmLimits, name: str, value: Any, reason: str
) -> None:
    # 2 crops of 4 vision tokens and 4 output tokens leave 116 of the 128 positions.
    with pytest.raises(InputError, match=rf"{name} = '?{value}'? is .*{reason}"):
        check_knobs(replace(knobs, **{name: value}), limits)


def test_a_model_with_one_image_size_takes_no_other(knobs: Knobs, limits: VlmLimits) -> None:
    fixed = replace(limits, pixel_step=0)
    check_knobs(replace(knobs, image_pixels=128), fixed)
    with pytest.raises(InputError, match="image_pixels = 64 is not 128"):
        check_knobs(knobs, fixed)


def test_a_dense_model_has_no_experts_to_choose(knobs: Knobs, limits: VlmLimits) -> None:
    dense = replace(limits, experts=1, top_k=1)
    check_knobs(replace(knobs, top_k=1), dense)
    with pytest.raises(InputError, match=r"top_k = 3 is not 1 .*dense"):
        check_knobs(knobs, dense)


def test_all_impossible_values_are_named_at_once(knobs: Knobs, limits: VlmLimits) -> None:
    broken = replace(knobs, top_k=99, active_blocks=99, dtype="int8")
    with pytest.raises(InputError, match=r"top_k = 99.*; active_blocks = 99.*; dtype") as caught:
        check_knobs(broken, limits)
    assert "batch_size" not in str(caught.value)
    crowded = replace(broken, image_crops=40)
    with pytest.raises(InputError, match=r"image_crops = 40 is too many.*; top_k = 99.*; dtype"):
        check_knobs(crowded, limits)


@pytest.mark.parametrize("value", [2.0, 2.5, float("nan"), "2", True, None])
def test_a_value_that_is_no_whole_number_is_refused(
    knobs: Knobs, limits: VlmLimits, value: Any
) -> None:
    with pytest.raises(InputError, match=rf"top_k = {value!r} is not a whole number"):
        check_knobs(replace(knobs, top_k=value), limits)
    whole: Any = np.int64(2)
    check_knobs(replace(knobs, top_k=whole), limits)
