from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from bayeslat.collect.knobs import Knobs, applied
from bayeslat.collect.limits import VlmLimits
from bayeslat.collect.measure import generate_greedily, measure
from bayeslat.collect.request import make_request


@pytest.mark.parametrize("active_blocks", [2, 4])
def test_the_tokens_are_those_of_generate(
    torch: Any, model: Any, knobs: Knobs, limits: VlmLimits, active_blocks: int
) -> None:
    chosen = replace(knobs, active_blocks=active_blocks, output_tokens=6)
    request = make_request(model, chosen, limits, seed=0)
    is_vision = (request.input_ids == model.config.image_token_id).int()
    with applied(model, chosen):
        found = generate_greedily(model, request)
        expected = model.generate(
            input_ids=request.input_ids,
            attention_mask=torch.ones_like(request.input_ids),
            pixel_values=request.pixel_values,
            image_grid_thw=request.image_grid_thw,
            mm_token_type_ids=is_vision,
            max_new_tokens=6,
            min_new_tokens=6,
            do_sample=False,
        )
    assert found.shape == (2, 6)
    assert torch.equal(found, expected[:, request.input_ids.shape[1] :])


def test_stages_are_positive_and_add_up_to_less_than_the_whole(
    model: Any, knobs: Knobs, limits: VlmLimits
) -> None:
    request = make_request(model, knobs, limits, seed=0)
    with applied(model, knobs):
        times = measure(model, request)
    stages = (
        times.vision_encoder_ms,
        times.projector_ms,
        times.llm_prefill_ms,
        times.llm_decode_per_token_ms,
    )
    assert min(stages) > 0.0
    assert sum(stages[:3]) + 3 * stages[3] < times.end_to_end_ms


def test_a_single_token_needs_no_decode_step(model: Any, knobs: Knobs, limits: VlmLimits) -> None:
    chosen = replace(knobs, output_tokens=1)
    times = measure(model, make_request(model, chosen, limits, seed=0))
    assert math.isnan(times.llm_decode_per_token_ms)
    assert times.llm_prefill_ms > 0.0
