"""LLaVA and its kin: crops of one size, a vision tower, and a projector behind it."""

from __future__ import annotations

from typing import Any

from bayeslat.collect.backend import load_torch
from bayeslat.collect.families.family import Parts, text_limits
from bayeslat.collect.knobs import Knobs
from bayeslat.collect.limits import VlmLimits
from bayeslat.collect.request import Request, random_tokens
from bayeslat.errors import InputError

__all__ = ["Llava"]


class Llava:
    """LLaVA and InternVL."""

    model_types = frozenset({"llava", "internvl"})

    def limits(self, config: Any) -> VlmLimits:
        """Return what a model's configuration allows.

        Raises
        ------
        InputError
            If the class token of the vision tower is kept among the vision tokens, or crops are
            not square.
        """
        vision = config.vision_config
        if (
            config.vision_feature_select_strategy != "default"
            and vision.model_type == "clip_vision_model"
        ):
            raise InputError(
                "vision_feature_select_strategy is "
                f"{config.vision_feature_select_strategy!r}, which keeps the class token of CLIP; "
                "only 'default' can be measured"
            )
        pixels, patch = _square(vision.image_size), _square(vision.patch_size)
        return VlmLimits(
            image_pixels=pixels,
            pixel_step=0,
            pixels_per_token=round(patch / getattr(config, "downsample_ratio", 1.0)),
            markers_per_crop=0,
            least_blocks=1,
            **text_limits(config),
        )

    def parts(self, model: Any) -> Parts:
        """Return a model's stages."""
        inner = model.model
        return Parts(inner.vision_tower, (inner.multi_modal_projector,), inner.language_model)

    def request(self, model: Any, knobs: Knobs, limits: VlmLimits, seed: int) -> Request:
        """Draw the pixels and the text of a request, on the model's device."""
        torch = load_torch()
        generator = torch.Generator().manual_seed(seed)
        image_token = model.config.image_token_id
        crop = [image_token] * limits.tokens_per_crop(knobs.image_pixels)
        input_ids = random_tokens(knobs, limits, crop, image_token, generator)
        crops, side = knobs.batch_size * knobs.image_crops, knobs.image_pixels
        pixels = torch.randn(crops, 3, side, side, generator=generator)
        return Request(
            prefill={
                "input_ids": input_ids.to(model.device),
                "pixel_values": pixels.to(model.device, model.dtype),
            },
            batch_size=knobs.batch_size,
            output_tokens=knobs.output_tokens,
        )


def _square(size: int | list[int] | tuple[int, ...]) -> int:
    """Return the side of a square that is given by its side, or by height and width."""
    if isinstance(size, int):
        return size
    height, width = size
    if height != width:
        raise InputError(f"images of {height} x {width}: only square ones can be measured")
    return height
