"""What a model has beside plain layers."""

from __future__ import annotations

from typing import Any

import pytest

from bayeslat.traces.model_parts import PARTS, layers_without_experts, model_parts

EXPERTS = {"num_hidden_layers": 8, "num_experts": 64, "moe_intermediate_size": 1408}


@pytest.mark.parametrize(
    ("told", "without"),
    [
        ({}, 0),
        ({"decoder_sparse_step": 2}, 4),
        ({"decoder_sparse_step": 1, "mlp_only_layers": [0, 3]}, 2),
        ({"first_k_dense_replace": 3, "moe_layer_freq": 1}, 3),
        ({"first_k_dense_replace": 1, "moe_layer_freq": 2}, 5),  # 2, 4 and 6 have experts
        ({"moe_layer_freq": [0, 1, 1, 1, 1, 1, 1, 1]}, 1),
        ({"moe_layers": [1, 3, 5, 7], "interleave_moe_layer_step": 2}, 4),
        ({"mlp_layer_types": ["dense"] * 2 + ["sparse"] * 6}, 2),
        ({"moe_layer_start_index": 1, "moe_layer_end_index": 6, "moe_layer_interval": 1}, 2),
        ({"num_dense_layers": 2}, 2),
        ({"expert_layer_period": 2}, None),
        ({"num_hidden_layers": 10**15}, None),
        ({"num_hidden_layers": 0}, None),
        ({"num_hidden_layers": None}, None),
    ],
)
def test_layers_without_experts(told: dict[str, Any], without: int | None) -> None:
    assert layers_without_experts(EXPERTS | told) == without


@pytest.mark.parametrize(
    ("told", "width"),
    [
        ({}, 0),
        ({"n_shared_experts": 2}, 2816),
        # Hunyuan, with a number for each layer
        ({"num_shared_expert": 1}, 1408),
        ({"num_shared_expert": [1] * 8, "moe_intermediate_size": [1408] * 8}, 1408),
        ({"n_shared_experts": None, "shared_expert_intermediate_size": 5632}, 5632),
        ({"model_type": "llama4_text"}, 1408),
        # One layer in two has an MLP
        ({"intermediate_size": 5000, "decoder_sparse_step": 2}, 2500),
        ({"intermediate_size": 5000, "decoder_sparse_step": 2, "n_shared_experts": 1}, 3204),
        (
            {"intermediate_size": 1408, "intermediate_size_mlp": 5000, "model_type": "llama4_text"}
            | {"interleave_moe_layer_step": 2},
            3204,
        ),
    ],
)
def test_width_that_every_token_goes_through(told: dict[str, Any], width: float) -> None:
    parts = model_parts(EXPERTS | {"hidden_size": 100} | told, {})
    assert parts["mlp_weights"] == 3 * 100 * width


def test_a_latent_takes_the_place_of_keys_and_values() -> None:
    # DeepSeek-V2 paper, table 1: (d_c + d_R) values a token, equal to 2.25 groups of GQA.
    told = {
        **{"hidden_size": 5120, "num_hidden_layers": 60, "num_attention_heads": 128},
        **{"num_key_value_heads": 128, "kv_lora_rank": 512, "q_lora_rank": 1536},
        **{"qk_nope_head_dim": 128, "qk_rope_head_dim": 64, "v_head_dim": 128},
    }
    parts = model_parts(told, {})
    assert parts["kv_width"] == 576 == 2.25 * 2 * 128
    assert parts["head_dim"] == (192 + 128) / 2
    # vLLM keeps keys and values of MiniCPM3, both as wide as keys
    assert model_parts(told | {"model_type": "minicpm3"}, {})["kv_width"] == 2 * 128 * 192
    del told["v_head_dim"]
    assert "kv_width" not in model_parts(told, {})


def test_a_dense_model_has_experts_in_no_layer() -> None:
    told = {"num_hidden_layers": 2, "n_shared_experts": 1, "first_k_dense_replace": 1}
    parts = model_parts(told | {"hidden_size": 10, "intermediate_size": 40}, {})
    assert parts == {"moe_layers": 0.0, "mlp_weights": 1200.0}
    assert parts.keys() < PARTS.keys()
    assert model_parts({}, {}) == {}


@pytest.mark.parametrize("size", [-4096, 0, 1e300, True, "4096", [1, 2], None])
@pytest.mark.parametrize("name", ["hidden_size", "num_hidden_layers", "kv_lora_rank", "bits"])
def test_odd_configurations_give_no_odd_parts(name: str, size: object) -> None:
    told = {
        **EXPERTS,
        **{"hidden_size": 4096, "num_attention_heads": 32, "qk_rope_head_dim": 64},
        **{"qk_nope_head_dim": 128, "v_head_dim": 128, "quantization_config": {name: size}},
        name: size,
    }
    parts = model_parts(told, {"dtype": "bfloat16", "quantization": "awq"})
    assert all(0 <= part < float("inf") for part in parts.values())
