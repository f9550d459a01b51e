"""The knobs of a vision-language request, and how they are set on a model."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

from bayeslat.collect.backend import load_torch
from bayeslat.collect.limits import VlmLimits
from bayeslat.errors import InputError

__all__ = ["MARKERS_PER_CROP", "Knobs", "applied", "check_knobs"]

MARKERS_PER_CROP = 2
"""Prompt tokens that each crop needs: one before and one after its vision tokens."""


@dataclass(frozen=True)
class Knobs:
    """One configuration of a request.

    Attributes
    ----------
    image_crops : int
        Crops per sequence; each becomes the same number of vision tokens.
    prompt_tokens : int
        Prompt tokens per sequence that are not vision tokens, crop markers included.
    top_k : int
        Experts that each token is routed to.
    active_blocks : int
        Decoder blocks that run, counted from the first.
    batch_size : int
        Sequences, all alike.
    output_tokens : int
        Tokens generated per sequence; the first one comes from the prefill.
    """

    image_crops: int
    prompt_tokens: int
    top_k: int
    active_blocks: int
    batch_size: int
    output_tokens: int


def check_knobs(knobs: Knobs, limits: VlmLimits) -> None:
    """Refuse a configuration that the model cannot run as asked.

    Raises
    ------
    InputError
        With every impossible value, its rule and its cure.
    """
    markers = MARKERS_PER_CROP * knobs.image_crops
    vision_tokens = limits.tokens_per_crop * knobs.image_crops
    text_budget = limits.context_tokens - vision_tokens - knobs.output_tokens
    bounds = {
        "image_crops": (1, None, "the vision encoder needs a crop"),
        "prompt_tokens": (
            markers + 1,
            text_budget,
            f"{knobs.image_crops} crops need {markers} markers and a token of text, and the "
            f"model's {limits.context_tokens} positions also hold vision and output tokens",
        ),
        "top_k": (1, limits.experts, f"each block has {limits.experts} experts"),
        "active_blocks": (
            max(1, limits.deepstack_levels),
            limits.blocks,
            f"the model has {limits.blocks} blocks, and the first {limits.deepstack_levels} "
            "receive vision features",
        ),
        "batch_size": (1, None, "a request has a sequence"),
        "output_tokens": (1, None, "a request generates a token"),
    }
    broken = [
        f"{name} = {value} is not {_span(low, high)} ({reason})"
        for name, value in asdict(knobs).items()
        for low, high, reason in [bounds[name]]
        if value < low or (high is not None and value > high)
    ]
    if broken:
        raise InputError("impossible configuration: " + "; ".join(broken))


@contextmanager
def applied(model: Any, knobs: Knobs) -> Iterator[None]:
    """Set top_k and active_blocks on the model inside the block, and restore them after it.

    Parameters
    ----------
    model : Qwen3VLMoeForConditionalGeneration
        The model; its first `active_blocks` decoder blocks stay.
    knobs : Knobs
        A configuration that `check_knobs` accepts.
    """
    torch = load_torch()
    language_model = model.model.language_model
    blocks = language_model.layers
    gates = [block.mlp.gate for block in blocks if hasattr(block.mlp, "gate")]
    before = [gate.top_k for gate in gates]
    try:
        for gate in gates:
            gate.top_k = knobs.top_k
        language_model.layers = torch.nn.ModuleList(list(blocks)[: knobs.active_blocks])
        yield
    finally:
        language_model.layers = blocks
        for gate, top_k in zip(gates, before, strict=True):
            gate.top_k = top_k


def _span(low: int, high: int | None) -> str:
    return f"{low} or more" if high is None else f"{low} to {high}"
