"""The knobs of a model that a design varies: defaults, and the ranges that people give."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields, replace

from bayeslat.collect.knobs import Knobs
from bayeslat.collect.limits import VlmLimits
from bayeslat.collect.range_rules import check_ranges
from bayeslat.collect.tasks import TASKS
from bayeslat.features.knob_range import KnobRange
from bayeslat.traces.names import TASK

__all__ = ["default_knobs", "default_ranges", "merge_ranges", "set_knobs"]

_PROMPT_TOKENS = 64
_OUTPUT_TOKENS = 16
_MOST_CROPS = 8
_MOST_PROMPT_TOKENS = 384


def default_knobs(limits: VlmLimits, dtype: str) -> Knobs:
    """Return the configuration from which a design departs.

    Parameters
    ----------
    limits : VlmLimits
    dtype : str
        Dtype of weights and activations.

    Returns
    -------
    Knobs
        One sequence with one crop, through all blocks, with as many experts as in training.
    """
    return Knobs(
        image_crops=1,
        image_pixels=limits.image_pixels,
        prompt_tokens=_PROMPT_TOKENS,
        output_tokens=_OUTPUT_TOKENS,
        top_k=limits.top_k,
        active_blocks=limits.blocks,
        batch_size=1,
        dtype=dtype,
    )


def default_ranges(limits: VlmLimits) -> tuple[KnobRange, ...]:
    """Return ranges that suit a model; it can run every combination of their values.

    The numbers of crops and of prompt tokens decide most of the work, so these two are spread in
    the logarithm: small requests, where fixed costs show, are as frequent as large ones.

    Parameters
    ----------
    limits : VlmLimits

    Returns
    -------
    tuple of KnobRange
        In the order of `Knobs`. A knob that the model leaves a single value has no range.
    """
    crops = _most_crops(limits)
    shortest = max(24, limits.markers_per_crop * crops + 1)
    longest = _longest_prompt(limits, crops)
    ranges = (
        KnobRange("image_crops", low=1, high=crops, log=True, whole=True),
        KnobRange("prompt_tokens", low=shortest, high=longest, log=True, whole=True),
        KnobRange("output_tokens", low=4, high=_OUTPUT_TOKENS, whole=True),
        KnobRange("top_k", low=1, high=min(8, limits.experts), whole=True),
        KnobRange(
            "active_blocks",
            low=max(1, limits.least_blocks, limits.blocks // 4),
            high=limits.blocks,
            whole=True,
        ),
        KnobRange("batch_size", low=1, high=4, whole=True),
    )
    return tuple(each for each in ranges if each.low < each.high)


def merge_ranges(
    defaults: Sequence[KnobRange], given: Sequence[KnobRange]
) -> tuple[KnobRange, ...]:
    """Return the ranges of a design: those given, and the defaults of the other knobs.

    A task sets the lengths of prompt and output: where `task` is given, these two have no default
    range.

    Parameters
    ----------
    defaults, given : sequence of KnobRange

    Returns
    -------
    tuple of KnobRange
        In the order of `Knobs`.

    Raises
    ------
    InputError
        With every given range that is not one of a knob, its rule and its cure.
    """
    check_ranges(given)
    ranges = {each.name: each for each in defaults}
    chosen = {each.name: each for each in given}
    if TASK in chosen:
        ranges = {name: each for name, each in ranges.items() if name not in _TASK_KNOBS}
    ranges |= chosen
    return tuple(ranges[knob.name] for knob in fields(Knobs) if knob.name in ranges)


def set_knobs(base: Knobs, values: Mapping[str, int | str]) -> Knobs:
    """Return a configuration with some knobs set.

    Parameters
    ----------
    base : Knobs
        Gives the other knobs; but a known task in `values` gives the lengths that they lack.
    values : mapping of str to int or str
        Names of knobs, and what to set them to.
    """
    lengths = TASKS.get(str(values.get(TASK)))
    changed = ({} if lengths is None else asdict(lengths)) | dict(values)
    return replace(base, **changed)


_TASK_KNOBS = frozenset(name for lengths in TASKS.values() for name in asdict(lengths))


def _most_crops(limits: VlmLimits) -> int:
    """Return the most crops, up to a few, that leave a range of prompts their place.

    The default prompt is one of them, if it holds the markers of all crops.
    """
    for crops in range(_MOST_CROPS, 1, -1):
        needed = max(_PROMPT_TOKENS, limits.markers_per_crop * crops + 1)
        if needed < _longest_prompt(limits, crops):
            return crops
    return 1


def _longest_prompt(limits: VlmLimits, crops: int) -> int:
    """Return the most prompt tokens that crops and the longest output leave a place."""
    vision_tokens = crops * limits.tokens_per_crop(limits.image_pixels)
    return min(_MOST_PROMPT_TOKENS, limits.context_tokens - vision_tokens - _OUTPUT_TOKENS)
