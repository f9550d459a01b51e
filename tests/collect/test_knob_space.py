from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bayeslat.collect.knob_space import default_knobs, default_ranges, merge_ranges, set_knobs
from bayeslat.collect.knobs import check_knobs, knob_problems
from bayeslat.collect.limits import VlmLimits
from bayeslat.errors import InputError
from bayeslat.features.knob_range import KnobRange, parse_knob

LIMITS = VlmLimits(
    image_pixels=192,
    pixel_step=32,
    pixels_per_token=32,
    markers_per_crop=2,
    experts=16,
    top_k=4,
    blocks=12,
    least_blocks=3,
    context_tokens=4096,
)
MODELS = st.builds(
    lambda patches, step, markers, experts, blocks, least, context: VlmLimits(
        image_pixels=patches * step,
        pixel_step=step,
        pixels_per_token=step,
        markers_per_crop=markers,
        experts=experts,
        top_k=min(2, experts),
        blocks=blocks,
        least_blocks=min(least, blocks),
        context_tokens=patches**2 + 80 + context,
    ),
    patches=st.integers(1, 30),
    step=st.sampled_from((14, 28, 32)),
    markers=st.integers(0, 20),
    experts=st.integers(1, 128),
    blocks=st.integers(1, 100),
    least=st.integers(1, 8),
    context=st.integers(0, 10_000),
)


def test_the_default_is_one_request_of_the_whole_model() -> None:
    knobs = default_knobs(LIMITS, "bfloat16")
    check_knobs(knobs, LIMITS)
    assert (knobs.image_crops, knobs.batch_size, knobs.task) == (1, 1, None)
    assert (knobs.top_k, knobs.active_blocks, knobs.image_pixels) == (4, 12, 192)


def test_default_ranges_of_a_roomy_model() -> None:
    assert default_ranges(LIMITS) == tuple(
        map(
            parse_knob,
            (
                "image_crops=1:8:log",
                "prompt_tokens=24:384:log",
                "output_tokens=4:16",
                "top_k=1:8",
                "active_blocks=3:12",
                "batch_size=1:4",
            ),
        )
    )


def test_a_knob_with_one_value_has_no_range() -> None:
    dense = replace(LIMITS, experts=1, top_k=1, least_blocks=12)
    assert {each.name for each in default_ranges(dense)} == {
        "image_crops",
        "prompt_tokens",
        "output_tokens",
        "batch_size",
    }


def test_many_markers_lengthen_the_prompt() -> None:
    prompt = default_ranges(replace(LIMITS, markers_per_crop=20))[1]
    assert prompt.low == 161


def test_a_small_context_takes_fewer_crops() -> None:
    ranges = default_ranges(replace(LIMITS, image_pixels=768, context_tokens=2048))  # 576 a crop
    assert (ranges[0].high, ranges[1].high) == (3, 2048 - 3 * 576 - 16)


# A prompt of 7 crops' markers and a token would be the only one that fits, and no range.
@example(
    replace(
        LIMITS,
        image_pixels=154,
        pixel_step=14,
        pixels_per_token=14,
        markers_per_crop=11,
        context_tokens=941,
    )
)
@example(replace(LIMITS, markers_per_crop=60))
@given(MODELS)
def test_the_model_can_run_every_corner_of_its_default_ranges(limits: VlmLimits) -> None:
    base = default_knobs(limits, "float32")
    assert knob_problems(base, limits) == []
    ranges = default_ranges(limits)
    for corner in product(*((int(each.low), int(each.high)) for each in ranges)):
        knobs = set_knobs(base, {r.name: v for r, v in zip(ranges, corner, strict=True)})
        assert knob_problems(knobs, limits) == []


def test_given_ranges_replace_defaults() -> None:
    merged = merge_ranges(
        default_ranges(LIMITS), [parse_knob("top_k=1,2,16"), parse_knob("image_pixels=64,192")]
    )
    assert [each.name for each in merged] == [
        "image_crops",
        "image_pixels",
        "prompt_tokens",
        "output_tokens",
        "top_k",
        "active_blocks",
        "batch_size",
    ]
    assert merged[4].values == (1, 2, 16)


def test_a_task_sets_the_lengths_that_have_no_given_range() -> None:
    task, prompt = parse_knob("task=qa,captioning"), parse_knob("prompt_tokens=8:16")
    names = [each.name for each in merge_ranges(default_ranges(LIMITS), [task])]
    assert names == ["image_crops", "top_k", "active_blocks", "batch_size", "task"]
    assert prompt in merge_ranges(default_ranges(LIMITS), [task, prompt])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("topk=1:4", "knob 'topk' is unknown; did you mean 'top_k'?"),
        ("zzz=1:4", "knob 'zzz' is unknown; known: image_crops, image_pixels,"),
        ("vision_tokens=1:4", "give image_crops or image_pixels instead"),
        ("dtype_bytes=2,4", "give dtype instead"),
        ("top_k=1:4.0", "knob 'top_k': 4.0 is not a whole number"),
        ("top_k=0:4", "knob 'top_k': 0 is not a whole number from 1"),
        ("top_k=1,2.5", "knob 'top_k': 2.5 is not a whole number"),
        ("top_k=few,many", "knob 'top_k': 'few' is not a whole number"),
        ("image_pixels=64:192", "list sides that the model allows"),
        ("dtype=1:4", "list some of float32, bfloat16, float16"),
        ("dtype=bf16,float32", "knob 'dtype': 'bf16' is unknown; did you mean 'bfloat16'?"),
        ("task=caption", "knob 'task': 'caption' is unknown; did you mean 'captioning'?"),
    ],
)
def test_a_range_that_no_knob_has(text: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        merge_ranges((), [parse_knob(text)])
    assert message in str(caught.value)


def test_all_that_is_wrong_is_told_at_once() -> None:
    given = [KnobRange("x", values=(1,)), *map(parse_knob, ("top_k=1:2", "top_k=0:3", "task=ocr"))]
    with pytest.raises(InputError) as caught:
        merge_ranges(default_ranges(LIMITS), given)
    for part in ("'x' is unknown", "0 is not a whole", "'ocr' is unknown", "'top_k' has 2 ranges"):
        assert part in str(caught.value)


def test_a_task_gives_the_lengths_that_are_not_set() -> None:
    base = default_knobs(LIMITS, "float32")
    qa = set_knobs(base, {"task": "captioning", "prompt_tokens": 50})
    assert (qa.task, qa.prompt_tokens, qa.output_tokens) == ("captioning", 50, 96)
    assert set_knobs(base, {}) == base
