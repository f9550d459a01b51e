from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import bayeslat as bl
from bayeslat.collect.latency import InferenceLatency
from bayeslat.errors import InputError


def test_median_and_spread_are_over_the_repeats() -> None:
    frame = pd.DataFrame({"t_projector_ms": [1.0, 2.0, 4.0], "stage_sum_ms": [10.0, 10.0, 15.0]})
    found = InferenceLatency(frame)
    assert found.median_ms == {"projector": 2.0, "total": 10.0}
    assert found.spread == {"projector": 1.5, "total": 0.5}


def test_a_loaded_model_is_measured(vlm: Any) -> None:
    found = bl.measure_inference_latency(
        vlm.model, image_pixels=64, prompt_tokens=9, output_tokens=3, top_k=1, repeats=2
    )
    assert found.frame["repeat"].tolist() == [0, 1]
    assert set(found.frame["top_k"]) == {1}
    assert set(found.frame["active_blocks"]) == {4}
    assert set(found.median_ms) == {
        *("vision_encoder", "projector", "llm_prefill", "llm_decode_per_token", "total"),
    }
    assert min(found.median_ms.values()) > 0


def test_a_folder_is_loaded_and_measured(vlm: Any, tmp_path: Path) -> None:
    vlm.model.save_pretrained(tmp_path)
    found = bl.measure_inference_latency(
        tmp_path,
        device="cpu",
        dtype="bfloat16",
        image_pixels=64,
        prompt_tokens=9,
        output_tokens=2,
        repeats=1,
    )
    assert found.frame["dtype"].tolist() == ["bfloat16"]


def test_a_task_sets_the_lengths_that_are_not_given(
    transformers: Any, shipped_config: Path
) -> None:
    from bayeslat.collect.vlm import Source

    found = bl.measure_inference_latency(
        Source(str(shipped_config), random_weights=True),
        device="cpu",
        task="captioning",
        output_tokens=2,
        active_blocks=2,
        image_pixels=64,
        repeats=1,
    )
    assert found.frame[["prompt_tokens", "output_tokens", "task"]].to_numpy().tolist() == [
        [32, 2, "captioning"]
    ]


def test_everything_impossible_is_told_at_once(vlm: Any) -> None:
    with pytest.raises(InputError, match=r"top_k = 99.*active_blocks = 99"):
        bl.measure_inference_latency(vlm, top_k=99, active_blocks=99, prompt_tokens=9)
    with pytest.raises(InputError, match="repeats = 0"):
        bl.measure_inference_latency(vlm, image_pixels=64, prompt_tokens=9, repeats=0)


@pytest.mark.parametrize(
    ("model", "options", "told"),
    [
        (3, {}, "the model is a int; give a loaded model"),
        (None, {}, "the model is a NoneType"),
        ("folder", {"dtype": "int8"}, "dtype = 'int8' is not one of float32"),
        ("folder", {"repeats": 0}, "repeats = 0"),
    ],
)
def test_arguments_are_checked_before_anything_is_loaded(
    model: Any, options: dict[str, Any], told: str
) -> None:
    with pytest.raises(InputError, match=told):
        bl.measure_inference_latency(model, **options)


def test_a_loaded_model_has_its_own_dtype_and_device(vlm: Any) -> None:
    for model in (vlm, vlm.model):
        with pytest.raises(InputError, match=r"dtype = 'bfloat16' and device = 'cpu': .*loaded"):
            bl.measure_inference_latency(model, dtype="bfloat16", device="cpu")


def test_a_loaded_model_is_left_as_it_was(vlm: Any) -> None:
    model = vlm.model.train()
    model.lm_head.eval()
    try:
        bl.measure_inference_latency(
            model, image_pixels=64, prompt_tokens=9, output_tokens=2, repeats=1
        )
        assert model.training
        assert model.model.training
        assert not model.lm_head.training
    finally:
        model.eval()
