"""Random inputs of one request."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bayeslat.collect.backend import load_torch
from bayeslat.collect.knobs import MARKERS_PER_CROP, Knobs
from bayeslat.collect.limits import VlmLimits

__all__ = ["Request", "make_request"]


@dataclass(frozen=True)
class Request:
    """Inputs of a batch of alike sequences; N = vision_tokens + prompt_tokens.

    Attributes
    ----------
    input_ids : Tensor, dims (sequence, N)
        Crops first, each between its markers, then text.
    position_ids : Tensor, dims (3, sequence, N)
        Temporal, height and width position of each token.
    next_position : int
        Position of the first generated token, the same for all sequences.
    pixel_values : Tensor, dims (patch, channel x time x height x width)
        Patches of all crops of all sequences.
    image_grid_thw : Tensor, dims (crop, 3)
        Patches in time, height and width of each crop.
    output_tokens : int
        Tokens to generate per sequence.
    """

    input_ids: Any
    position_ids: Any
    next_position: int
    pixel_values: Any
    image_grid_thw: Any
    output_tokens: int


def make_request(model: Any, knobs: Knobs, limits: VlmLimits, seed: int) -> Request:
    """Draw the pixels and the text of a request.

    Positions are computed here, as a server does when it admits a request, so that the measured
    pass holds the model's work only.

    Parameters
    ----------
    model : Qwen3VLMoeForConditionalGeneration
        The model that the request is for.
    knobs : Knobs
        A configuration that `check_knobs` accepts.
    limits : VlmLimits
        The model's limits.
    seed : int
        Seed of pixels and text.

    Returns
    -------
    Request
    """
    torch = load_torch()
    generator = torch.Generator().manual_seed(seed)
    input_ids = _tokens(model.config, knobs, limits, generator)
    crops = knobs.batch_size * knobs.image_crops
    side = limits.crop_side_patches
    grid = torch.tensor([[1, side, side]]).repeat(crops, 1)
    vision = model.config.vision_config
    patch_values = vision.in_channels * vision.temporal_patch_size * vision.patch_size**2
    pixels = torch.randn(crops * side * side, patch_values, generator=generator)
    is_vision = (input_ids == model.config.image_token_id).int()
    positions, deltas = model.model.get_rope_index(input_ids, is_vision, image_grid_thw=grid)
    return Request(
        input_ids=input_ids,
        position_ids=positions,
        next_position=input_ids.shape[1] + int(deltas[0]),
        pixel_values=pixels.to(model.dtype),
        image_grid_thw=grid,
        output_tokens=knobs.output_tokens,
    )


def _tokens(config: Any, knobs: Knobs, limits: VlmLimits, generator: Any) -> Any:
    torch = load_torch()
    special = (
        config.image_token_id,
        config.video_token_id,
        config.vision_start_token_id,
        config.vision_end_token_id,
    )
    crop = [config.vision_start_token_id]
    crop += [config.image_token_id] * limits.tokens_per_crop
    crop += [config.vision_end_token_id]
    vision = torch.tensor(crop * knobs.image_crops).repeat(knobs.batch_size, 1)
    text_tokens = knobs.prompt_tokens - MARKERS_PER_CROP * knobs.image_crops
    # The special tokens stand at the end of the vocabulary, so text is drawn from below them.
    text = torch.randint(0, min(special), (knobs.batch_size, text_tokens), generator=generator)
    return torch.cat([vision, text], dim=1)
