"""Sizes of published models, under the names that their own `config.json` gives them."""

from __future__ import annotations

from typing import Any

import pytest

from bayeslat.traces.model_sizes import FIELDS, language_config, model_sizes, nested_part

ORDER = (
    *("layers", "hidden", "heads", "kv_heads", "head_dim", "intermediate"),
    *("experts", "experts_per_token", "moe_intermediate"),
)

LLAMA = {
    **{"model_type": "llama", "num_hidden_layers": 32, "hidden_size": 4096},
    **{"num_attention_heads": 32, "num_key_value_heads": 8, "intermediate_size": 14336},
    **{"head_dim": None, "vocab_size": 128256},
}
MIXTRAL = LLAMA | {"num_local_experts": 8, "num_experts_per_tok": 2, "model_type": "mixtral"}
ERNIE = {
    **{"model_type": "ernie4_5_moe", "num_hidden_layers": 28, "hidden_size": 2560},
    **{"num_attention_heads": 20, "num_key_value_heads": 4, "intermediate_size": 12288},
    **{"head_dim": 128, "moe_num_experts": 64, "moe_k": 6, "moe_intermediate_size": 1536},
}
GEMMA_3N = {
    **{"model_type": "gemma3n_text", "num_hidden_layers": 35, "hidden_size": 2048},
    **{"num_attention_heads": 8, "num_key_value_heads": 2, "head_dim": 256},
    "intermediate_size": [16384] * 35,
}
DBRX = {
    **{"model_type": "dbrx", "d_model": 6144, "n_heads": 48, "n_layers": 40},
    "attn_config": {"kv_n_heads": 8, "clip_qkv": 8.0},
    "ffn_config": {"ffn_hidden_size": 10752, "moe_num_experts": 16, "moe_top_k": 4},
}
FALCON_7B = {
    **{"model_type": "falcon", "num_hidden_layers": 32, "hidden_size": 4544},
    **{"num_attention_heads": 71, "num_kv_heads": 71, "multi_query": True},
    "new_decoder_architecture": False,
}
FALCON_40B = {
    **{"model_type": "falcon", "num_hidden_layers": 60, "hidden_size": 8192},
    **{"num_attention_heads": 128, "num_kv_heads": 8, "multi_query": True},
    **{"new_decoder_architecture": True, "ffn_hidden_size": 32768},
}
GPT_2 = {"model_type": "gpt2", "n_layer": 12, "n_embd": 768, "n_head": 12, "n_inner": None}
MPT = {"model_type": "mpt", "n_layers": 32, "d_model": 4096, "n_heads": 32}
OPT = {
    **{"model_type": "opt", "num_hidden_layers": 32, "hidden_size": 4096},
    **{"num_attention_heads": 32, "ffn_dim": 16384},
}
XGLM = {
    **{"model_type": "xglm", "num_layers": 24, "d_model": 1024, "attention_heads": 16},
    "ffn_dim": 4096,
}
CHATGLM = {
    **{"model_type": "chatglm", "num_layers": 28, "hidden_size": 4096},
    **{"num_attention_heads": 32, "multi_query_attention": True, "multi_query_group_num": 2},
    **{"kv_channels": 128, "ffn_hidden_size": 13696},
}
GPT_OSS = {
    **{"model_type": "gpt_oss", "num_hidden_layers": 24, "hidden_size": 2880},
    **{"num_attention_heads": 64, "num_key_value_heads": 8, "head_dim": 64},
    **{"intermediate_size": 2880, "num_local_experts": 32, "experts_per_token": 4},
}


@pytest.mark.parametrize(
    ("config", "sizes"),
    [
        (LLAMA, (32, 4096, 32, 8, 128, 14336)),
        (MIXTRAL, (32, 4096, 32, 8, 128, 14336, 8, 2, 14336)),
        (ERNIE, (28, 2560, 20, 4, 128, 12288, 64, 6, 1536)),
        (GEMMA_3N, (35, 2048, 8, 2, 256, 16384)),
        (DBRX, (40, 6144, 48, 8, 128, 10752, 16, 4, 10752)),
        (FALCON_7B, (32, 4544, 71, 1, 64, 18176)),
        (FALCON_40B, (60, 8192, 128, 8, 64, 32768)),
        (GPT_2, (12, 768, 12, 12, 64, 3072)),
        (MPT, (32, 4096, 32, 32, 128, 16384)),
        (OPT, (32, 4096, 32, 32, 128, 16384)),
        (XGLM, (24, 1024, 16, 16, 64, 4096)),
        (CHATGLM, (28, 4096, 32, 2, 128, 13696)),
        (GPT_OSS, (24, 2880, 64, 8, 64, 2880, 32, 4, 2880)),
    ],
    ids=lambda each: each["model_type"] if isinstance(each, dict) else "",
)
def test_published_models(config: dict[str, Any], sizes: tuple[int, ...]) -> None:
    found = model_sizes(config)
    found.pop("vocab", None)
    assert found == dict(zip(ORDER, sizes, strict=False))


def test_of_two_names_the_one_that_says_something_counts() -> None:
    assert model_sizes({"num_experts": 0, "num_local_experts": 8})["experts"] == 8
    assert model_sizes({"num_experts": 0})["experts"] == 0


def test_what_differs_between_layers_is_not_known() -> None:
    found = model_sizes(LLAMA | {"intermediate_size": [1, 2], "num_key_value_heads": [8] * 32})
    assert "intermediate" not in found
    assert found["kv_heads"] == 8
    odd = model_sizes(MIXTRAL | {"moe_intermediate_size": [1536, 512]})
    assert "moe_intermediate" not in odd  # and not that of the model


def test_only_models_whose_rule_it_is_have_an_mlp_of_four_times_their_width() -> None:
    unknown = {name: value for name, value in LLAMA.items() if name != "intermediate_size"}
    assert "intermediate" not in model_sizes(unknown)
    assert model_sizes(GPT_2 | {"n_inner": 1000})["intermediate"] == 1000


def test_truth_values_and_text_are_no_sizes() -> None:
    assert model_sizes({"hidden_size": True, "num_layers": "3", "n_head": float("nan")}) == {}


@pytest.mark.parametrize(
    ("config", "size"),
    [
        ({"dtype": "bfloat16"}, 2),
        ({"torch_dtype": "torch.float32"}, 4),
        ({"dtype": None, "torch_dtype": "half"}, 2),
        ({"dtype": "float8_e4m3fn"}, 1),
        ({"dtype": "bfloat16", "quantization_config": {"quant_method": "fp8"}}, 2),
        ({"dtype": "auto"}, None),
        ({"dtype": 2}, None),
    ],
)
def test_bytes_of_the_activations(config: dict[str, Any], size: int | None) -> None:
    assert model_sizes(config).get("dtype_bytes") == size


@pytest.mark.parametrize(
    "nest",
    [
        lambda text: text,
        lambda text: {"text_config": text},
        lambda text: {"llm_config": text},
        lambda text: {"thinker_config": {"text_config": text}},
        lambda text: {"text_config": text, "hidden_size": 7, "vision_config": {"depth": 3}},
    ],
)
def test_the_language_model_may_be_a_part(nest: Any) -> None:
    found = model_sizes(language_config(nest(LLAMA)))
    assert found == model_sizes(LLAMA)
    assert set(found) < set(FIELDS)


def test_what_a_part_leaves_null_stands_at_the_top() -> None:
    config = {"dtype": "float16", "text_config": LLAMA | {"dtype": None}}
    assert model_sizes(language_config(config))["dtype_bytes"] == 2


def test_the_vision_part_of_a_model_that_speaks() -> None:
    config = {"thinker_config": {"vision_config": {"depth": 27}}, "talker_config": {"depth": 1}}
    assert nested_part(config, ("vision_config",)) == {"depth": 27}
    assert nested_part({"thinker_config": 3}, ("vision_config",)) == {}
