"""Models that a real vLLM server runs with random weights: small ones on a CPU, Qwen3 on a GPU."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["MODELS", "VOCABULARY"]

VOCABULARY = 1024
"""Words of the tokenizer: all models have at least so many."""

_SMALL = {
    "hidden_size": 256,
    "num_hidden_layers": 4,
    "num_attention_heads": 8,
    "num_key_value_heads": 2,
    "head_dim": 32,
    "intermediate_size": 1024,
    "vocab_size": VOCABULARY,
    "max_position_embeddings": 4096,
    "torch_dtype": "float32",
}
# Of deep ones, steps take several times longer than the way there and back between processes.
_DEEP = {**_SMALL, "num_hidden_layers": 24}
_SMALL_EXPERTS = {"num_experts": 8, "num_experts_per_tok": 2, "moe_intermediate_size": 512}
# Every other layer has experts, and one that all tokens go through.
_SHARED_EXPERTS = {
    **_SMALL_EXPERTS,
    "shared_expert_intermediate_size": 1024,
    "decoder_sparse_step": 2,
}


def _qwen(
    sizes: Mapping[str, object], experts: Mapping[str, object] | None = None, version: int = 3
) -> object:
    name, of_type = f"Qwen{version}", f"qwen{version}"
    if experts is not None:
        name, of_type = f"{name}Moe", f"{of_type}_moe"
        routing = {"norm_topk_prob": True, "decoder_sparse_step": 1, "mlp_only_layers": []}
        experts = {**routing, **experts}
    return {
        "architectures": [f"{name}ForCausalLM"],
        "model_type": of_type,
        "rms_norm_eps": 1e-6,
        "rope_theta": 1e6,
        "hidden_act": "silu",
        "tie_word_embeddings": False,
        "bos_token_id": 1,
        "eos_token_id": 2,
        **sizes,
        **(experts or {}),
    }


def _published(
    hidden: int, layers: int, heads: int, kv_heads: int, inner: int
) -> dict[str, object]:
    """Return sizes of a published Qwen3."""
    return {
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "head_dim": 128,
        "intermediate_size": inner,
        "vocab_size": 151_936,
        "max_position_embeddings": 40_960,
        "torch_dtype": "bfloat16",
    }


MODELS: dict[str, object] = {
    "dense": _qwen(_SMALL),
    "moe": _qwen(_SMALL, _SMALL_EXPERTS),
    "deep_dense": _qwen(_DEEP),
    "deep_moe": _qwen(_DEEP, _SMALL_EXPERTS),
    "deep_shared": _qwen(_DEEP, _SHARED_EXPERTS, version=2),
    "qwen3_1.7b": _qwen(_published(2048, 28, 16, 8, 6144)),
    "qwen3_8b": _qwen(_published(4096, 36, 32, 8, 12_288)),
    "qwen3_14b": _qwen(_published(5120, 40, 40, 8, 17_408)),
    "qwen3_30b_a3b": _qwen(
        _published(2048, 48, 32, 4, 6144),
        {"num_experts": 128, "num_experts_per_tok": 8, "moe_intermediate_size": 768},
    ),
}
"""Configurations, as Hugging Face writes them."""
