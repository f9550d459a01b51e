"""What a language model has beside plain layers: latents, shared experts, layers without any."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from bayeslat.traces.model_sizes import model_sizes, size_of
from bayeslat.traces.value_types import value_types

__all__ = ["PARTS", "layers_without_experts", "model_parts"]

type Config = Mapping[str, object]

PARTS: Mapping[str, str] = {
    "weight_bytes": "bytes of a value of the weights, with its scales",
    "expert_weight_bytes": "bytes of a value of the weights of experts, with its scales",
    "matmul_bytes": "bytes of the values that matrix products multiply",
    "kv_value_bytes": "bytes of a value of the KV cache",
    "kv_width": "values that a token has in the KV cache of a layer",
    "attention_weights": "values of the weights of the attention of a layer",
    "mlp_weights": "values of the MLP and shared experts that a token goes through, mean of layers",
    "moe_layers": "layers with experts that tokens choose",
}
"""Each part, and what it is. Where a model is plain, they follow from its sizes."""

_SHARED = (
    *("n_shared_experts", "num_shared_experts", "moe_num_shared_experts", "num_experts_shared"),
    "num_shared_expert",
)
_SHARED_WIDTH = ("shared_expert_intermediate_size", "shared_intermediate_size")
_MOST_LAYERS = 10_000  # beyond, a configuration is no model's
_WITHOUT_ITS_LATENT = frozenset({"minicpm3"})  # of which vLLM keeps keys and values


def model_parts(told: Config, server: Config) -> dict[str, float]:
    """Return the sizes of a model's parts, and those of `model_sizes` that mean something else.

    Parameters
    ----------
    told : Mapping
        The configuration of its language model (`model_sizes.language_config`).
    server : Mapping
        Of the server: `dtype`, `quantization`, `kv_cache_dtype`, and `capability` of its GPU.

    Returns
    -------
    dict of str to float
        By the names of `PARTS`; with a latent (MLA), also the `head_dim` of which attention has
        `4 heads head_dim` operations for a token that attends to another. What is not known is left
        out.
    """
    sizes = {name: size for name, size in model_sizes(told).items() if size >= 0}
    parts = {**_attention(told, sizes), **_experts(told, sizes), **value_types(told, server)}
    return {name: size for name, size in parts.items() if math.isfinite(size)}


def _attention(told: Config, sizes: Mapping[str, float]) -> dict[str, float]:
    latent = size_of(told, "kv_lora_rank")
    if latent:
        return _latent_attention(told, sizes, latent)
    try:
        keys = sizes["kv_heads"] * sizes["head_dim"]
        queries = sizes["heads"] * sizes["head_dim"]
        return {
            "kv_width": 2.0 * keys,
            "attention_weights": sizes["hidden"] * 2.0 * (queries + keys),
        }
    except KeyError:
        return {}


def _latent_attention(told: Config, sizes: Mapping[str, float], latent: float) -> dict[str, float]:
    """Of multi-head latent attention (DeepSeek-AI 2024, arXiv:2405.04434, section 2.1)."""
    rope, plain = size_of(told, "qk_rope_head_dim"), size_of(told, "qk_nope_head_dim")
    values, queries = size_of(told, "v_head_dim"), size_of(told, "q_lora_rank")
    if not (rope and plain and values and {"hidden", "heads"} <= sizes.keys()):
        return {}
    hidden, heads = sizes["hidden"], sizes["heads"]
    wide = heads * (plain + rope)
    is_apart = told.get("model_type") in _WITHOUT_ITS_LATENT
    query_weights = queries * (hidden + wide) if queries else hidden * wide
    key_weights = hidden * (latent + rope) + latent * heads * (plain + values)
    return {
        "kv_width": 2.0 * wide if is_apart else latent + rope,
        "attention_weights": query_weights + key_weights + heads * values * hidden,
        "head_dim": (plain + rope + values) / 2.0,
    }


def _experts(told: Config, sizes: Mapping[str, float]) -> dict[str, float]:
    layers = sizes.get("layers", 0.0)
    without = layers_without_experts(told) if sizes.get("experts") else layers
    if not layers or without is None:
        return {}
    found = {"moe_layers": layers - without}
    width = size_of(told, "intermediate_size_mlp") or sizes.get("intermediate", 0.0)  # Llama 4
    shared = _shared_width(told, sizes) if sizes.get("experts") else 0.0
    if "hidden" not in sizes or (without and not width):
        return found
    widths = without * width + found["moe_layers"] * shared
    return found | {"mlp_weights": 3.0 * sizes["hidden"] * widths / layers}


def _shared_width(told: Config, sizes: Mapping[str, float]) -> float:
    width = sizes.get("moe_intermediate", 0.0)
    if told.get("model_type") == "llama4_text":
        return width
    shared = next((number for name in _SHARED if (number := size_of(told, name))), 0.0)
    if shared:
        return shared * width
    return next((number for name in _SHARED_WIDTH if (number := size_of(told, name))), 0.0)


def layers_without_experts(told: Config) -> int | None:
    """Return how many layers have an MLP in place of experts; None where that is not known.

    Parameters
    ----------
    told : Mapping
        The configuration of a language model that has experts.
    """
    layers = model_sizes(told).get("layers")
    if layers is None or not 0 < layers <= _MOST_LAYERS or "expert_layer_period" in told:
        return None
    return sum(not each for each in _have_experts(told, int(layers)))


def _have_experts(told: Config, layers: int) -> Iterator[bool]:
    """Tell of each layer whether it has experts, in the ways in which models say it."""
    kinds, frequency = told.get("mlp_layer_types"), told.get("moe_layer_freq")
    listed, dense = told.get("moe_layers"), told.get("mlp_only_layers")
    first = max(
        size_of(told, name)
        for name in ("first_k_dense_replace", "num_dense_layers", "moe_layer_start_index")
    )
    last = size_of(told, "moe_layer_end_index") or layers - 1
    steps = ("decoder_sparse_step", "interleave_moe_layer_step", "moe_layer_interval")
    step = max(1.0, *(size_of(told, name) for name in steps))
    every = size_of(told, "moe_layer_freq") or 1.0
    for layer in range(layers):
        if isinstance(kinds, list) and len(kinds) == layers:
            yield kinds[layer] != "dense"
        elif isinstance(frequency, list) and len(frequency) == layers:
            yield bool(frequency[layer])
        elif isinstance(listed, list) and listed:
            yield layer in listed
        else:
            yield (
                first <= layer <= last
                and (layer + 1) % step == 0
                and layer % every == 0
                and not (isinstance(dense, list) and layer in dense)
            )
