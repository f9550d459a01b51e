"""The knobs of a vision-language request."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from numbers import Integral

from bayeslat.collect.dtypes import DTYPE_BYTES
from bayeslat.collect.limits import VlmLimits
from bayeslat.collect.tasks import TASKS
from bayeslat.errors import InputError

__all__ = ["Knobs", "check_knobs", "knob_problems"]


@dataclass(frozen=True)
class Knobs:
    """One configuration of a request.

    Attributes
    ----------
    image_crops : int
        Crops per sequence.
    image_pixels : int
        Height and width of a crop in pixels: they set its vision tokens.
    prompt_tokens : int
        Prompt tokens per sequence that are not vision tokens, crop markers included.
    output_tokens : int
        Tokens generated per sequence; the first one comes from the prefill.
    top_k : int
        Experts that each token is routed to; 1 for a dense model.
    active_blocks : int
        Decoder blocks that run, counted from the first.
    batch_size : int
        Sequences, all alike.
    dtype : str
        Dtype of weights and activations.
    task : str or None
        What the lengths of prompt and output stand for.
    """

    image_crops: int
    image_pixels: int
    prompt_tokens: int
    output_tokens: int
    top_k: int
    active_blocks: int
    batch_size: int
    dtype: str
    task: str | None = None

    def vision_tokens(self, limits: VlmLimits) -> int:
        """Return the vision tokens per sequence."""
        return self.image_crops * limits.tokens_per_crop(self.image_pixels)


def knob_problems(knobs: Knobs, limits: VlmLimits) -> list[str]:
    """Return every value that the model cannot run, with its rule and its reason."""
    not_whole = [
        f"{name} = {value!r} is not a whole number"
        for name, value in asdict(knobs).items()
        if name not in {"dtype", "task"}
        if not isinstance(value, Integral) or isinstance(value, bool)
    ]
    numbers = not_whole or [*_number_problems(knobs, limits), *_side_problems(knobs, limits)]
    return [*numbers, *_name_problems(knobs)]


def check_knobs(knobs: Knobs, limits: VlmLimits) -> None:
    """Refuse a configuration that the model cannot run as asked.

    Raises
    ------
    InputError
        With every impossible value, its rule and its reason.
    """
    problems = knob_problems(knobs, limits)
    if problems:
        raise InputError("impossible configuration: " + "; ".join(problems))


def _number_problems(knobs: Knobs, limits: VlmLimits) -> list[str]:
    markers = limits.markers_per_crop * knobs.image_crops
    vision_tokens = knobs.vision_tokens(limits)
    text_room = limits.context_tokens - vision_tokens - knobs.output_tokens
    crowded = []
    if text_room <= markers:
        crowded = [
            f"image_crops = {knobs.image_crops} is too many: with {vision_tokens} vision and "
            f"{knobs.output_tokens} output tokens no prompt fits the model's "
            f"{limits.context_tokens} positions"
        ]
    experts = (
        f"each block has {limits.experts} experts"
        if limits.experts > 1
        else "the model is dense: it has no experts to choose"
    )
    bounds = {
        "image_crops": (1, None, "the vision encoder needs a crop"),
        "prompt_tokens": (
            markers + 1,
            text_room,
            f"{knobs.image_crops} crops need {markers} markers and a token of text, and the "
            f"model's {limits.context_tokens} positions also hold vision and output tokens",
        ),
        "output_tokens": (1, None, "a request generates a token"),
        "top_k": (1, limits.experts, experts),
        "active_blocks": (
            limits.least_blocks,
            limits.blocks,
            f"the model has {limits.blocks} blocks, and vision features enter the first "
            f"{limits.least_blocks}",
        ),
        "batch_size": (1, None, "a request has a sequence"),
    }
    if crowded:
        del bounds["prompt_tokens"]
    values = asdict(knobs)
    return crowded + [
        f"{name} = {values[name]} is not {_span(low, high)} ({reason})"
        for name, (low, high, reason) in bounds.items()
        if values[name] < low or (high is not None and values[name] > high)
    ]


def _side_problems(knobs: Knobs, limits: VlmLimits) -> list[str]:
    side, step = knobs.image_pixels, limits.pixel_step
    if not step:
        if side == limits.image_pixels:
            return []
        return [f"image_pixels = {side} is not {limits.image_pixels} (the model's only image size)"]
    if side >= step and side % step == 0:
        return []
    nearest = max(step, round(side / step) * step)
    return [
        f"image_pixels = {side} is not a multiple of {step} (patches and their merging); "
        f"try {nearest}"
    ]


def _name_problems(knobs: Knobs) -> list[str]:
    problems = []
    if knobs.dtype not in DTYPE_BYTES:
        problems.append(f"dtype = {knobs.dtype!r} is not one of {', '.join(DTYPE_BYTES)}")
    if knobs.task is not None and knobs.task not in TASKS:
        problems.append(f"task = {knobs.task!r} is not one of {', '.join(TASKS)}")
    return problems


def _span(low: int, high: int | None) -> str:
    if high is None:
        return f"{low} or more"
    return f"{low}" if low == high else f"{low} to {high}"
