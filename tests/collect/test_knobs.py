from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bayeslat.collect.knobs import Knobs, applied, check_knobs
from bayeslat.collect.limits import VlmLimits
from bayeslat.collect.measure import generate_greedily
from bayeslat.collect.request import make_request
from bayeslat.errors import InputError


def test_a_possible_configuration_is_accepted(knobs: Knobs, limits: VlmLimits) -> None:
    check_knobs(knobs, limits)


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("image_crops", 0, "1 or more"),
        ("prompt_tokens", 4, "2 crops need 4 markers"),
        ("prompt_tokens", 117, "128 positions"),
        ("top_k", 0, "1 to 8"),
        ("top_k", 9, "8 experts"),
        ("active_blocks", 1, "first 2 receive vision"),
        ("active_blocks", 5, "4 blocks"),
        ("batch_size", 0, "1 or more"),
        ("output_tokens", 0, "1 or more"),
    ],
)
def test_an_impossible_value_is_refused_with_the_reason(
    knobs: Knobs, limits: VlmLimits, name: str, value: int, reason: str
) -> None:
    # 2 crops of 4 vision tokens and 4 output tokens leave 116 of the 128 positions.
    with pytest.raises(InputError, match=rf"{name} = {value} is not.*{reason}"):
        check_knobs(replace(knobs, **{name: value}), limits)


def test_all_impossible_values_are_named_at_once(knobs: Knobs, limits: VlmLimits) -> None:
    with pytest.raises(InputError, match=r"top_k = 99.*; active_blocks = 99") as caught:
        check_knobs(replace(knobs, top_k=99, active_blocks=99), limits)
    assert "batch_size" not in str(caught.value)


@pytest.mark.parametrize("top_k", [1, 3, 8])
@pytest.mark.parametrize("active_blocks", [2, 4])
def test_knobs_change_the_computation(
    model: Any, knobs: Knobs, limits: VlmLimits, top_k: int, active_blocks: int
) -> None:
    chosen = replace(knobs, top_k=top_k, active_blocks=active_blocks)
    request = make_request(model, chosen, limits, seed=0)
    calls: list[tuple[int, int]] = []  # tokens and experts per token, of each block's experts

    def watch(_module: Any, inputs: tuple[Any, ...]) -> None:
        tokens, experts = inputs[1].shape
        calls.append((tokens, experts))

    experts = [block.mlp.experts for block in model.model.language_model.layers]
    handles = [part.register_forward_pre_hook(watch) for part in experts]
    with applied(model, chosen):
        generate_greedily(model, request)
    for handle in handles:
        handle.remove()
    prompt = 2 * (2 * limits.tokens_per_crop + 9)  # sequences x (crops x tokens + prompt)
    steps = [prompt, *[2] * 3]
    assert calls == [(tokens, top_k) for tokens in steps for _ in range(active_blocks)]


def test_the_model_is_restored_even_after_an_error(model: Any, knobs: Knobs) -> None:
    blocks = model.model.language_model.layers
    before = [block.mlp.gate.top_k for block in blocks]

    def fail_inside() -> None:
        with applied(model, replace(knobs, top_k=1, active_blocks=2)):
            assert len(model.model.language_model.layers) == 2
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_inside()
    assert model.model.language_model.layers is blocks
    assert len(blocks) == 4
    assert [block.mlp.gate.top_k for block in blocks] == before
