"""What is said of models that are more than their sizes."""

from __future__ import annotations

from typing import Any

import pytest

from bayeslat.traces.model_limits import model_limits

MLA, HYBRID, WINDOW = "latent (MLA)", "layers without attention", "attend to the last tokens only"
SOME, TWO, OWN = "of some layers only", "two matrices", "no column tells"
EXPERTS = {
    **{"n_routed_experts": 64, "num_experts_per_tok": 6, "moe_intermediate_size": 1408},
    "num_hidden_layers": 4,
}
LATENT = {
    **{"kv_lora_rank": 512, "qk_nope_head_dim": 128, "qk_rope_head_dim": 64, "v_head_dim": 128},
    **{"hidden_size": 7168, "num_attention_heads": 128},
}
ALL_FULL = {"layer_types": ["full_attention"] * 4}


def _is_said(told: dict[str, Any], server: dict[str, Any] | None = None) -> set[str]:
    said = model_limits(told, server or {})
    known = (MLA, HYBRID, WINDOW, SOME, TWO, OWN)
    assert all(sum(words in each for words in known) == 1 for each in said), said
    return {words for words in known for each in said if words in each}


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"model_type": "llama", "sliding_window": None, "mlp_only_layers": []}, set()),
        # Qwen3-30B-A3B, gpt-oss, Mixtral
        (EXPERTS | {"decoder_sparse_step": 1, "mlp_only_layers": []}, set()),
        ({"model_type": "gpt_oss", "sliding_window": 128}, {WINDOW}),
        # DeepSeek-V3 and Kimi-K2; one that does not say how wide its heads are
        (EXPERTS | LATENT | {"n_shared_experts": 1, "first_k_dense_replace": 3}, {MLA}),
        ({"kv_lora_rank": 512, "hidden_size": 7168}, {MLA}),
        # Qwen1.5-MoE, and a Llama 4 with windows
        (
            EXPERTS
            | {"shared_expert_intermediate_size": 5632}
            | {"use_sliding_window": False, "sliding_window": 32768},
            set(),
        ),
        (EXPERTS | {"model_type": "llama4_text", "attention_chunk_size": 8192}, {WINDOW}),
        # Jamba, Qwen3-Next, Falcon-H1, Granite 4
        (
            EXPERTS | {"expert_layer_period": 2, "attn_layer_period": 8},
            {HYBRID, SOME},
        ),
        ({"layer_types": ["linear_attention", "full_attention"]}, {HYBRID}),
        ({"attn_type_list": [0, 0, 0, 1]}, {HYBRID}),
        ({"attn_type_list": [1, 1, 1, 1]}, set()),  # MiniMax-M2
        ({"layers_block_type": ["mamba", "attention"]}, {HYBRID}),
        ({"mamba_d_state": 256}, {HYBRID}),
        ({"mamba_d_state": 256} | ALL_FULL, set()),
        # Gemma, and a dense model whose windows are off
        (
            {"layer_types": ["sliding_attention", "full_attention"], "sliding_window": 1024},
            {WINDOW},
        ),
        ({"sliding_window": 4096} | ALL_FULL, set()),
        # A dense model has experts in no layers
        ({"num_hidden_layers": 4, "expert_layer_period": 2}, set()),
        ({"model_type": "gpt2"}, {TWO}),
        ({"model_type": "opt"}, {TWO}),
        ({"model_type": "gemma3n_text"}, {OWN}),
        ({"model_type": "deepseek_v32", "index_topk": 2048}, {OWN}),
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
        ({"quantization": "fp8"}, ""),
        ({"quantization": "gguf"}, "weights are quantised (gguf)"),
        ({"kv_cache_dtype": "fp8_e4m3"}, ""),
        ({"kv_cache_dtype": "nvfp4"}, "cache is of nvfp4"),
        ({"kv_cache_dtype": "auto"}, ""),
        ({"kv_cache_dtype": "bfloat16", "quantization": None}, ""),
    ],
)
def test_types_of_weights_and_cache(server: dict[str, Any], words: str) -> None:
    said = model_limits({}, server)
    assert len(said) == bool(words)
    assert words in "".join(said)
