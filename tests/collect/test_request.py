from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bayeslat.collect.knobs import Knobs
from bayeslat.collect.limits import VlmLimits
from bayeslat.collect.request import make_request


@pytest.mark.parametrize("image_crops", [1, 3])
@pytest.mark.parametrize("batch_size", [1, 2])
def test_token_and_patch_counts_follow_the_knobs(
    model: Any, knobs: Knobs, limits: VlmLimits, image_crops: int, batch_size: int
) -> None:
    chosen = replace(knobs, image_crops=image_crops, batch_size=batch_size)
    request = make_request(model, chosen, limits, seed=0)
    vision_tokens = limits.tokens_per_crop * image_crops
    is_vision = request.input_ids == model.config.image_token_id
    assert request.input_ids.shape == (batch_size, vision_tokens + chosen.prompt_tokens)
    assert is_vision.sum(dim=1).tolist() == [vision_tokens] * batch_size
    assert request.image_grid_thw.shape == (batch_size * image_crops, 3)
    assert len(request.pixel_values) == int(request.image_grid_thw.prod(dim=1).sum())
    assert request.position_ids.shape == (3, *request.input_ids.shape)


def test_the_first_generated_token_follows_the_last_position(
    model: Any, knobs: Knobs, limits: VlmLimits
) -> None:
    request = make_request(model, knobs, limits, seed=0)
    assert request.next_position == int(request.position_ids.max()) + 1


def test_the_seed_sets_pixels_and_text(
    torch: Any, model: Any, knobs: Knobs, limits: VlmLimits
) -> None:
    first, again, other = (make_request(model, knobs, limits, seed) for seed in (0, 0, 1))
    assert torch.equal(first.input_ids, again.input_ids)
    assert torch.equal(first.pixel_values, again.pixel_values)
    assert not torch.equal(first.input_ids, other.input_ids)
    assert not torch.equal(first.pixel_values, other.pixel_values)
