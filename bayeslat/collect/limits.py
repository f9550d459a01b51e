"""What a vision-language model's configuration allows the knobs to be."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bayeslat.errors import InputError

__all__ = ["VlmLimits", "read_config", "read_limits"]

_MODEL_TYPE = "qwen3_vl_moe"


@dataclass(frozen=True)
class VlmLimits:
    """Sizes of a model that bound its knobs.

    Attributes
    ----------
    crop_side_patches : int
        Patches along one side of a (square) crop.
    tokens_per_crop : int
        Vision tokens that one crop becomes after merging.
    experts : int
        Experts of each block, the largest top_k.
    blocks : int
        Decoder blocks, the largest active_blocks.
    deepstack_levels : int
        First blocks that receive vision features, the smallest active_blocks.
    context_tokens : int
        Positions that the model was made for.
    """

    crop_side_patches: int
    tokens_per_crop: int
    experts: int
    blocks: int
    deepstack_levels: int
    context_tokens: int


def read_limits(path: str | Path, crop_pixels: int) -> VlmLimits:
    """Read the limits from a Hugging Face configuration.

    Parameters
    ----------
    path : str or Path
        A `config.json` of a Qwen3-VL-MoE model.
    crop_pixels : int
        Height and width of one crop, in pixels.

    Returns
    -------
    VlmLimits

    Raises
    ------
    InputError
        If the file is not such a configuration, or the crop is not a whole number of merged
        patches.
    """
    config = read_config(Path(path))
    text, vision = config["text_config"], config["vision_config"]
    step = vision["patch_size"] * vision["spatial_merge_size"]
    if crop_pixels < step or crop_pixels % step:
        raise InputError(
            f"crop of {crop_pixels} pixels: the side must be a multiple of {step} (patch size x "
            f"merge size of {path}); try {max(step, crop_pixels // step * step)}"
        )
    return VlmLimits(
        crop_side_patches=crop_pixels // vision["patch_size"],
        tokens_per_crop=(crop_pixels // step) ** 2,
        experts=text["num_experts"],
        blocks=text["num_hidden_layers"],
        deepstack_levels=len(vision["deepstack_visual_indexes"]),
        context_tokens=text["max_position_embeddings"],
    )


def read_config(path: Path) -> dict[str, Any]:
    """Return a Qwen3-VL-MoE model's configuration as it stands in its file.

    Raises
    ------
    InputError
        If the file is not such a configuration.
    """
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(
            f"{path}: no such file; give a model's config.json, such as "
            "models/tiny_qwen3_vl_moe.json"
        ) from error
    except json.JSONDecodeError as error:
        raise InputError(f"{path}: not JSON ({error}); give a model's config.json") from error
    found = config.get("model_type") if isinstance(config, dict) else None
    if found != _MODEL_TYPE:
        raise InputError(
            f"{path}: model_type is {found!r}, and only {_MODEL_TYPE!r} can be measured; "
            "give the config.json of a Qwen3-VL-MoE model"
        )
    return dict(config)
