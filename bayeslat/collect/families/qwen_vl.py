"""Qwen-VL: crops of any size in patches, and mergers inside the vision model."""

from __future__ import annotations

import math
from typing import Any

from bayeslat.collect.backend import load_torch
from bayeslat.collect.families.family import Parts, text_limits
from bayeslat.collect.knobs import Knobs
from bayeslat.collect.limits import VlmLimits
from bayeslat.collect.request import Request, random_tokens

__all__ = ["QwenVl"]

_MARKERS_PER_CROP = 2  # vision_start and vision_end
_USUAL_PIXELS = 448  # of a crop, where a model has no grid of learned positions


class QwenVl:
    """Qwen2-VL, Qwen2.5-VL and Qwen3-VL, dense or with experts."""

    model_types = frozenset({"qwen2_vl", "qwen2_5_vl", "qwen3_vl", "qwen3_vl_moe"})

    def limits(self, config: Any) -> VlmLimits:
        """Return what a model's configuration allows."""
        vision = config.vision_config
        step = vision.patch_size * vision.spatial_merge_size
        positions = getattr(vision, "num_position_embeddings", None)
        native = math.isqrt(positions) * vision.patch_size if positions else _USUAL_PIXELS
        return VlmLimits(
            image_pixels=max(step, native // step * step),
            pixel_step=step,
            pixels_per_token=step,
            markers_per_crop=_MARKERS_PER_CROP,
            least_blocks=max(1, len(getattr(vision, "deepstack_visual_indexes", ()))),
            **text_limits(config),
        )

    def parts(self, model: Any) -> Parts:
        """Return a model's stages: the deepstack mergers belong to the projector."""
        vision = model.model.visual
        deepstack = getattr(vision, "deepstack_merger_list", ())
        return Parts(vision, (vision.merger, *deepstack), model.model.language_model)

    def request(self, model: Any, knobs: Knobs, limits: VlmLimits, seed: int) -> Request:
        """Draw the pixels and the text of a request, on the model's device.

        Positions are computed here, as a server does when it admits a request, so that the
        measured pass holds the model's work only.
        """
        torch = load_torch()
        generator = torch.Generator().manual_seed(seed)
        config, vision = model.config, model.config.vision_config
        image = [config.image_token_id] * limits.tokens_per_crop(knobs.image_pixels)
        crop = [config.vision_start_token_id, *image, config.vision_end_token_id]
        special = (
            config.image_token_id,
            config.video_token_id,
            config.vision_start_token_id,
            config.vision_end_token_id,
        )
        input_ids = random_tokens(knobs, limits, crop, min(special), generator)
        crops = knobs.batch_size * knobs.image_crops
        side = knobs.image_pixels // vision.patch_size
        grid = torch.tensor([[1, side, side]]).repeat(crops, 1)
        channels = getattr(vision, "in_channels", 3)
        values = channels * vision.temporal_patch_size * vision.patch_size**2
        pixels = torch.randn(crops * side * side, values, generator=generator)
        is_vision = (input_ids == config.image_token_id).int()
        positions, deltas = model.model.get_rope_index(input_ids, is_vision, image_grid_thw=grid)
        return Request(
            prefill={
                "input_ids": input_ids.to(model.device),
                "position_ids": positions.to(model.device),
                "pixel_values": pixels.to(model.device, model.dtype),
                "image_grid_thw": grid.to(model.device),
            },
            batch_size=knobs.batch_size,
            output_tokens=knobs.output_tokens,
            next_position=input_ids.shape[1] + int(deltas[0]),
        )
