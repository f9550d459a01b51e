"""What is said of models that are more than their sizes."""

from __future__ import annotations

from typing import Any

import pytest

from bayeslat.traces.model_limits import model_limits

MLA, HYBRID, WINDOW = "latent (MLA)", "layers without attention", "attend to the last tokens only"
SHARED, SOME, TWO, OWN = "shared experts", "of some layers only", "two matrices", "no column tells"
EXPERTS = {"n_routed_experts": 64, "num_experts_per_tok": 6, "moe_intermediate_size": 1408}
ALL_FULL = {"layer_types": ["full_attention"] * 4}


def _is_said(told: dict[str, Any], server: dict[str, Any] | None = None) -> set[str]:
    said = model_limits(told, server or {})
    known = (MLA, HYBRID, WINDOW, SHARED, SOME, TWO, OWN)
    assert all(sum(words in each for words in known) == 1 for each in said), said
    return {words for words in known for each in said if words in each}


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"model_type": "llama", "sliding_window": None, "mlp_only_layers": []}, set()),
        # Qwen3-30B-A3B, gpt-oss, Mixtral
        (EXPERTS | {"decoder_sparse_step": 1, "mlp_only_layers": []}, set()),
        ({"model_type": "gpt_oss", "sliding_window": 128}, {WINDOW}),
        # DeepSeek-V3 and Kimi-K2, GLM-4.5, MiMo
        (
            EXPERTS | {"kv_lora_rank": 512, "n_shared_experts": 1, "first_k_dense_replace": 3},
            {MLA, SHARED, SOME},
        ),
        (EXPERTS | {"n_shared_experts": 1, "first_k_dense_replace": 1}, {SHARED, SOME}),
        (EXPERTS | {"moe_layer_freq": [0, 1, 1, 1]}, {SOME}),
        (EXPERTS | {"moe_layer_freq": 1, "n_shared_experts": None}, set()),
        (EXPERTS | {"mlp_layer_types": ["dense", "sparse"]}, {SOME}),
        (EXPERTS | {"mlp_layer_types": ["sparse", "sparse"]}, set()),
        # Qwen1.5-MoE, Ernie 4.5, Llama 4 Scout and Maverick
        (
            EXPERTS
            | {"shared_expert_intermediate_size": 5632}
            | {"use_sliding_window": False, "sliding_window": 32768},
            {SHARED},
        ),
        (EXPERTS | {"moe_num_shared_experts": 2, "moe_layer_start_index": 1}, {SHARED, SOME}),
        (
            EXPERTS | {"model_type": "llama4_text", "attention_chunk_size": 8192},
            {SHARED, WINDOW},
        ),
        (
            EXPERTS | {"model_type": "llama4_text", "interleave_moe_layer_step": 2},
            {SHARED, SOME},
        ),
        # Jamba, Qwen3-Next, Falcon-H1, Granite 4
        (
            {"num_experts": 16, "expert_layer_period": 2, "attn_layer_period": 8},
            {HYBRID, SOME},
        ),
        ({"layer_types": ["linear_attention", "full_attention"]}, {HYBRID}),
        ({"layers_block_type": ["mamba", "attention"]}, {HYBRID}),
        ({"mamba_d_state": 256}, {HYBRID}),
        ({"mamba_d_state": 256} | ALL_FULL, set()),
        # Gemma, and a dense model whose windows are off
        (
            {"layer_types": ["sliding_attention", "full_attention"], "sliding_window": 1024},
            {WINDOW},
        ),
        ({"sliding_window": 4096} | ALL_FULL, set()),
        # A dense model has no experts to share
        ({"n_shared_experts": 1, "first_k_dense_replace": 1}, set()),
        ({"model_type": "gpt2"}, {TWO}),
        ({"model_type": "opt"}, {TWO}),
        ({"model_type": "gemma3n_text"}, {OWN}),
        ({"model_type": ["gpt2"], "layer_types": 3, "sliding_window": "4096"}, set()),
    ],
)
def test_what_is_said_of_a_model(told: dict[str, Any], said: set[str]) -> None:
    assert _is_said(told) == said


def test_a_window_as_long_as_any_request_is_none() -> None:
    told = {"model_type": "phi3", "sliding_window": 4096}
    assert _is_said(told, {"max_model_len": 4097}) == {WINDOW}
    assert _is_said(told, {"max_model_len": 4096}) == set()


@pytest.mark.parametrize(
    ("server", "words"),
    [
        ({"quantization": "fp8"}, "weights are quantised (fp8)"),
        ({"quantization": "mxfp4"}, "weights are quantised (mxfp4)"),
        ({"kv_cache_dtype": "fp8_e4m3"}, "cache is of fp8_e4m3"),
        ({"kv_cache_dtype": "auto"}, ""),
        ({"kv_cache_dtype": "bfloat16", "quantization": None}, ""),
    ],
)
def test_types_of_weights_and_cache(server: dict[str, Any], words: str) -> None:
    said = model_limits({}, server)
    assert len(said) == bool(words)
    assert words in "".join(said)
