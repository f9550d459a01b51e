"""One suite for every type of model: limits, inputs, tokens, knobs and stages."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bayeslat.collect.knob_space import default_knobs
from bayeslat.collect.knobs import Knobs, check_knobs
from bayeslat.collect.limits import VlmLimits
from bayeslat.errors import InputError
from tests.collect.small_models import MODELS

TYPES = tuple(MODELS)


@pytest.fixture(params=TYPES)
def each(request: pytest.FixtureRequest, vlms: dict[str, Any]) -> Any:
    return vlms[request.param]


def small_request(vlm: Any, **values: Any) -> Knobs:
    """Return a configuration that every type of model can run."""
    base = replace(default_knobs(vlm.limits, "float32"), prompt_tokens=9, output_tokens=3)
    if vlm.limits.pixel_step:
        base = replace(base, image_pixels=2 * vlm.limits.pixel_step)
    knobs = replace(base, **values)
    check_knobs(knobs, vlm.limits)
    return knobs


@pytest.mark.parametrize(
    ("model_type", "expected"),
    [
        # By hand: 8 x 8 positions of 16 px; two deepstack levels; tokens of 2 x 2 patches.
        ("qwen3_vl_moe", VlmLimits(128, 32, 32, 2, 8, 2, 4, 2, 128)),
        ("qwen3_vl", VlmLimits(128, 32, 32, 2, 1, 1, 4, 2, 128)),
        # No grid of positions: 448 px, a whole number of 28.
        ("qwen2_5_vl", VlmLimits(448, 28, 28, 2, 1, 1, 4, 1, 128)),
        ("qwen2_vl", VlmLimits(448, 28, 28, 2, 1, 1, 4, 1, 128)),
        # One size of image; a token a patch of 8 px, or four of them.
        ("llava", VlmLimits(32, 0, 8, 0, 1, 1, 4, 1, 128)),
        ("internvl", VlmLimits(32, 0, 16, 0, 1, 1, 4, 1, 128)),
    ],
)
def test_limits(
    transformers: Any, config_paths: dict[str, Path], model_type: str, expected: VlmLimits
) -> None:
    from bayeslat.collect.vlm import Source, read_limits

    assert read_limits(Source(str(config_paths[model_type]), random_weights=True)) == expected


def test_limits_of_the_shipped_configuration(transformers: Any, shipped_config: Path) -> None:
    from bayeslat.collect.vlm import Source, read_limits

    # By hand: 16 x 16 positions of 16 px; 32 px a token.
    expected = VlmLimits(256, 32, 32, 2, 16, 4, 12, 2, 4096)
    assert read_limits(Source(str(shipped_config), random_weights=True)) == expected


def test_another_type_of_model_is_refused(transformers: Any, tmp_path: Path) -> None:
    from bayeslat.collect.vlm import Source, read_limits

    path = tmp_path / "config.json"
    path.write_text('{"model_type": "bert"}', encoding="utf-8")
    with pytest.raises(InputError, match=r"config\.json: model_type is 'bert'.*llava.*qwen3_vl"):
        read_limits(Source(str(path), random_weights=True))


def test_the_class_token_of_clip_is_refused(
    transformers: Any, config_paths: dict[str, Path], tmp_path: Path
) -> None:
    from bayeslat.collect.vlm import Source, read_limits

    config = json.loads(config_paths["llava"].read_text(encoding="utf-8"))
    path = tmp_path / "config.json"
    config["vision_feature_select_strategy"] = "full"
    path.write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(InputError, match="class token"):
        read_limits(Source(str(path), random_weights=True))


def test_a_request_has_the_tokens_that_were_asked_for(each: Any) -> None:
    knobs = small_request(each, image_crops=2, batch_size=3)
    request = each.request(knobs, seed=0)
    input_ids = request.prefill["input_ids"]
    vision = (input_ids == each.model.config.image_token_id).sum(dim=1)
    assert input_ids.shape == (3, knobs.vision_tokens(each.limits) + 9)
    assert vision.tolist() == [knobs.vision_tokens(each.limits)] * 3


def test_a_seed_gives_the_same_request(torch: Any, each: Any) -> None:
    first, second, other = (each.request(small_request(each), seed) for seed in (1, 1, 2))
    for name, tensor in first.prefill.items():
        assert torch.equal(tensor, second.prefill[name])
    assert not torch.equal(first.prefill["pixel_values"], other.prefill["pixel_values"])


def test_the_tokens_are_those_of_generate(torch: Any, each: Any) -> None:
    from bayeslat.collect.generate import generate_greedily

    knobs = small_request(each, output_tokens=6, batch_size=2)
    request = each.request(knobs, seed=0)
    inputs = {name: value for name, value in request.prefill.items() if name != "position_ids"}
    input_ids = inputs["input_ids"]
    if "image_grid_thw" in inputs:
        inputs["mm_token_type_ids"] = (input_ids == each.model.config.image_token_id).int()
    with each.set_to(knobs):
        found = generate_greedily(each.model, request)
        expected = each.model.generate(
            **inputs,
            attention_mask=torch.ones_like(input_ids),
            max_new_tokens=6,
            min_new_tokens=6,
            do_sample=False,
            pad_token_id=0,
        )
    assert torch.equal(found, expected[:, input_ids.shape[1] :])


def test_pixels_reach_the_language_model(torch: Any, each: Any) -> None:
    from bayeslat.collect.generate import generate_greedily

    knobs = small_request(each, output_tokens=1)
    request = each.request(knobs, seed=0)
    seen = []
    hook = each.model.lm_head.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    generate_greedily(each.model, request)
    request.prefill["pixel_values"] *= 3
    generate_greedily(each.model, request)
    hook.remove()
    assert not torch.allclose(seen[0], seen[1])


@pytest.mark.parametrize("active_blocks", [2, 4])
def test_active_blocks_run_and_no_others(each: Any, active_blocks: int) -> None:
    from bayeslat.collect.generate import generate_greedily

    knobs = small_request(each, active_blocks=active_blocks, output_tokens=3)
    blocks = each.parts.language_model.layers
    ran: list[int] = []
    hooks = [
        block.register_forward_hook(lambda *_, number=number: ran.append(number))
        for number, block in enumerate(blocks)
    ]
    with each.set_to(knobs):
        generate_greedily(each.model, each.request(knobs, seed=0))
    for hook in hooks:
        hook.remove()
    assert ran == [*range(active_blocks)] * 3
    assert each.parts.language_model.layers is blocks


@pytest.mark.parametrize("crops", [1, 3])
def test_crops_and_batch_set_the_rows_of_the_projector(each: Any, crops: int) -> None:
    from bayeslat.collect.generate import generate_greedily

    knobs = small_request(each, image_crops=crops, batch_size=2)
    rows: list[int] = []

    def watch(_module: Any, _inputs: Any, output: Any) -> None:
        rows.append(output.reshape(-1, output.shape[-1]).shape[0])

    hook = each.parts.projectors[0].register_forward_hook(watch)
    generate_greedily(each.model, each.request(knobs, seed=0))
    hook.remove()
    assert rows == [2 * knobs.vision_tokens(each.limits)]


def test_the_stages_are_the_whole_request(each: Any) -> None:
    from bayeslat.collect.measure import measure

    knobs = small_request(each, output_tokens=4)
    with each.set_to(knobs):
        found = measure(each, each.request(knobs, seed=0))
    stages = found.stages
    assert stages.vision_encoder_ms > 0
    assert stages.projector_ms > 0
    assert stages.llm_prefill_ms > 0
    assert stages.llm_decode_per_token_ms > 0
    # Another pass: on a busy machine one of them may take several times as long.
    assert 0.1 < stages.total_ms(4) / found.warm_up.end_to_end_ms < 10


def test_dtype_is_that_of_the_weights(transformers: Any, torch: Any, config_paths: Any) -> None:
    from bayeslat.collect.vlm import Source, load_vlm

    for path in config_paths.values():
        vlm = load_vlm(Source(str(path), random_weights=True), "bfloat16")
        assert {weight.dtype for weight in vlm.model.parameters()} == {torch.bfloat16}
        request = vlm.request(small_request(vlm, dtype="bfloat16"), seed=0)
        assert request.prefill["pixel_values"].dtype == torch.bfloat16
