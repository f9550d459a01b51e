"""Inputs of one request."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bayeslat.collect.backend import load_torch
from bayeslat.collect.knobs import Knobs
from bayeslat.collect.limits import VlmLimits

__all__ = ["Request", "random_tokens"]


@dataclass(frozen=True)
class Request:
    """Inputs of a batch of alike sequences; N = vision_tokens + prompt_tokens.

    Attributes
    ----------
    prefill : dict of str to Tensor
        What the model takes in its first pass, among it `input_ids`, dims (sequence, N).
    batch_size : int
        Sequences.
    output_tokens : int
        Tokens to generate per sequence.
    next_position : int or None
        Position of the first generated token, the same for all sequences, of a model whose
        positions do not count tokens; None where they do.
    """

    prefill: dict[str, Any]
    batch_size: int
    output_tokens: int
    next_position: int | None = None


def random_tokens(
    knobs: Knobs, limits: VlmLimits, crop: Sequence[int], vocabulary: int, generator: Any
) -> Any:
    """Return the tokens of a prompt: its crops, then random text.

    Parameters
    ----------
    knobs : Knobs
    limits : VlmLimits
    crop : sequence of int
        The tokens of a crop, with its markers.
    vocabulary : int
        Text is drawn from the tokens below it, so that none means a crop.
    generator : torch.Generator

    Returns
    -------
    Tensor, dims (sequence, N)
    """
    torch = load_torch()
    crops = torch.tensor([*crop] * knobs.image_crops).repeat(knobs.batch_size, 1)
    text_tokens = knobs.prompt_tokens - limits.markers_per_crop * knobs.image_crops
    text = torch.randint(0, vocabulary, (knobs.batch_size, text_tokens), generator=generator)
    return torch.cat([crops, text], dim=1)
