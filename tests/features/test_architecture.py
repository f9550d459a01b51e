from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bayeslat.errors import SpecError
from bayeslat.features.architecture import SHORT_NAMES, flatten_config, read_architecture

QWEN3_MOE = {
    "architectures": ["Qwen3MoeForCausalLM"],
    "model_type": "qwen3_moe",
    "attention_bias": False,
    "head_dim": 128,
    "hidden_size": 2048,
    "intermediate_size": 6144,
    "mlp_only_layers": [],
    "moe_intermediate_size": 768,
    "num_attention_heads": 32,
    "num_experts": 128,
    "num_experts_per_tok": 8,
    "num_hidden_layers": 48,
    "num_key_value_heads": 4,
    "rope_scaling": None,
    "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
    "vocab_size": 151936,
}
VISION = {
    "model_type": "qwen3_vl_moe",
    "deepstack_visual_indexes": [8, 16, 24],
    "depth": 27,
    "hidden_size": 1152,
    "intermediate_size": 4304,
    "num_heads": 16,
    "out_hidden_size": 2048,
    "patch_size": 16,
    "spatial_merge_size": 2,
}
TEXT_SHORT = {
    "hidden": 2048,
    "layers": 48,
    "heads": 32,
    "kv_heads": 4,
    "head_dim": 128,
    "intermediate": 6144,
    "experts": 128,
    "experts_per_token": 8,
    "moe_intermediate": 768,
    "vocab": 151936,
    "dtype_bytes": 2,
}
VISION_SHORT = {
    "vision_hidden": 1152,
    "vision_layers": 27,
    "vision_heads": 16,
    "vision_intermediate": 4304,
    "patch": 16,
    "merge": 2,
}
LLAMA = {
    "model_type": "llama",
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_attention_heads": 32,
    "num_hidden_layers": 32,
    "num_key_value_heads": 8,
    "vocab_size": 128256,
    "torch_dtype": "bfloat16",
}
# The text part of LLaVA's published file names only what differs from Llama's defaults.
LLAVA = {
    "model_type": "llava",
    "image_token_index": 32000,
    "text_config": {
        "model_type": "llama",
        "max_position_embeddings": 4096,
        "torch_dtype": "float16",
        "vocab_size": 32064,
    },
    "vision_config": {
        "model_type": "clip_vision_model",
        "hidden_size": 1024,
        "image_size": 336,
        "intermediate_size": 4096,
        "num_attention_heads": 16,
        "num_hidden_layers": 24,
        "patch_size": 14,
    },
}
MIXTRAL = {
    "model_type": "mixtral",
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_attention_heads": 32,
    "num_experts_per_tok": 2,
    "num_hidden_layers": 32,
    "num_key_value_heads": 8,
    "num_local_experts": 8,
    "vocab_size": 32000,
    "dtype": "float32",
}


def short(config: dict[str, Any]) -> dict[str, float]:
    flat = flatten_config(config)
    return {name: flat[name] for name in SHORT_NAMES if name in flat}


def test_qwen3_moe() -> None:
    assert short(QWEN3_MOE) == TEXT_SHORT


def test_qwen3_vl_moe_has_both_parts() -> None:
    config = {"model_type": "qwen3_vl_moe", "text_config": QWEN3_MOE, "vision_config": VISION}
    assert short(config) == TEXT_SHORT | VISION_SHORT
    flat = flatten_config(config)
    assert flat["text_hidden_size"] == 2048
    assert flat["vision_out_hidden_size"] == 2048
    assert "hidden_size" not in flat


def test_qwen3_vl_is_dense() -> None:
    dense = {key: value for key, value in QWEN3_MOE.items() if "expert" not in key}
    del dense["moe_intermediate_size"]
    found = short({"text_config": dense, "vision_config": VISION})
    assert not {"experts", "experts_per_token", "moe_intermediate"} & set(found)
    assert found["layers"] == 48


def test_llama_derives_the_head_dim() -> None:
    found = short(LLAMA)
    assert found["head_dim"] == 128
    assert found["kv_heads"] == 8
    assert "vision_hidden" not in found


def test_multi_head_attention_has_as_many_key_value_heads() -> None:
    found = short({key: value for key, value in LLAMA.items() if key != "num_key_value_heads"})
    assert found["kv_heads"] == 32


def test_llava_takes_defaults_of_its_parts() -> None:
    found = short(LLAVA)
    assert (found["hidden"], found["layers"], found["intermediate"]) == (4096, 32, 11008)
    assert (found["vocab"], found["dtype_bytes"]) == (32064, 2)
    assert (found["vision_hidden"], found["vision_layers"], found["patch"]) == (1024, 24, 14)
    assert "merge" not in found
    assert flatten_config(LLAVA)["image_token_index"] == 32000


def test_mixtral_calls_its_experts_size_intermediate() -> None:
    found = short(MIXTRAL)
    assert (found["experts"], found["experts_per_token"]) == (8, 2)
    assert found["moe_intermediate"] == 14336
    assert found["dtype_bytes"] == 4


def test_a_model_that_speaks_nests_what_it_reads() -> None:
    reads = {"text_config": QWEN3_MOE, "vision_config": VISION}
    config = {"thinker_config": reads, "talker_config": {"text_config": LLAMA}}
    assert short(config) == TEXT_SHORT | VISION_SHORT


def test_a_type_that_the_text_part_leaves_null_stands_at_the_top() -> None:
    found = short({"dtype": "bfloat16", "text_config": LLAMA | {"torch_dtype": None}})
    assert (found["dtype_bytes"], found["layers"]) == (2, 32)


def test_experts_and_heads_under_other_names() -> None:
    ernie = LLAMA | {"moe_num_experts": 64, "moe_k": 6, "moe_intermediate_size": 1536}
    found = short(ernie)
    assert (found["experts"], found["experts_per_token"], found["moe_intermediate"]) == (
        *(64, 6),
        1536,
    )
    gpt2 = short({"model_type": "gpt2", "n_layer": 12, "n_embd": 768, "n_head": 12})
    assert (gpt2["kv_heads"], gpt2["head_dim"], gpt2["intermediate"]) == (12, 64, 3072)


def test_the_merge_may_stand_at_the_top() -> None:
    config = {"spatial_merge_size": 2, "vision_config": {"hidden_size": 8, "patch_size": [14, 14]}}
    found = short(config)
    assert (found["merge"], found["patch"]) == (2, 14)


def test_embed_dim_is_the_width_of_the_vision_part() -> None:
    assert short({"vision_config": {"embed_dim": 1280, "hidden_size": 3584}}) == {
        "vision_hidden": 1280
    }


def test_only_finite_numbers_with_plain_names_are_kept() -> None:
    config = {
        "a": 1,
        "flag": True,
        "none": None,
        "text": "3",
        "list": [1, 2],
        "deep": {"b": 1},
        "nan": math.nan,
        "inf": math.inf,
        "huge": 10**400,
        "not-plain": 1,
        "class": 1,
    }
    assert flatten_config(config) == {"a": 1.0, "flag": 1.0}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=10,
)
KEYS = st.sampled_from([*QWEN3_MOE, *VISION, "text_config", "vision_config"]) | st.text(max_size=5)


@given(st.dictionaries(KEYS, JSON | st.dictionaries(KEYS, JSON, max_size=4), max_size=6))
def test_any_object_flattens_to_finite_floats(config: dict[str, Any]) -> None:
    flat = flatten_config(config)
    assert all(type(value) is float and math.isfinite(value) for value in flat.values())
    assert list(flat) == sorted(flat)


def test_a_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps(QWEN3_MOE), encoding="utf-8")
    assert read_architecture(path) == flatten_config(QWEN3_MOE)


@pytest.mark.parametrize(
    ("content", "fragment"),
    [
        (b"{", "is not JSON"),
        (b"[1]", "holds a list"),
        (b"3", "holds a int"),
        (b"{}", "holds no number"),
        (b'{"model_type": "x"}', "holds no number"),
        (b"\xff\xfe", "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
    ],
)
def test_a_bad_file_is_named(tmp_path: Path, content: bytes, fragment: str) -> None:
    path = tmp_path / "config.json"
    path.write_bytes(content)
    with pytest.raises(SpecError, match=fragment) as caught:
        read_architecture(path)
    assert "config.json" in str(caught.value)


@pytest.mark.parametrize("name", ["missing.json", "."])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(SpecError, match="cannot read"):
        read_architecture(tmp_path / name)
