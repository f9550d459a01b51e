"""What a language model has beside plain layers: shared experts, latents, types of its own."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from itertools import chain

from bayeslat.finite import finite_number
from bayeslat.traces.model_sizes import DTYPE_BYTES, model_sizes

__all__ = ["PARTS", "kv_value_bytes", "layers_without_experts", "model_parts", "weight_types"]

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
_BITS = ("bits", "w_bit", "weight_bits", "num_bits")
_WITHOUT_ITS_LATENT = frozenset({"minicpm3"})  # of which vLLM keeps keys and values
# Bytes of a value with its scales, and whether what it is multiplied with has as many bits.
_METHODS = {
    **dict.fromkeys(("fp8", "fbgemm_fp8", "ptpc_fp8", "modelopt", "deepspeedfp"), (1.0, True)),
    **dict.fromkeys(("fp8_per_tensor", "fp8_per_block", "fp8_per_channel"), (1.0, True)),
    **dict.fromkeys(("mxfp8", "modelopt_mxfp8"), (1 + 1 / 32, True)),
    **dict.fromkeys(("experts_int8", "fp8_marlin", "int8_per_channel_weight_only"), (1.0, False)),
    **dict.fromkeys(("mxfp4", "gpt_oss_mxfp4"), (0.5 + 1 / 32, False)),
    **dict.fromkeys(("modelopt_fp4", "nvfp4", "nvfp4_per_token"), (0.5 + 1 / 16, True)),
}
_OF_EXPERTS_ALONE = frozenset(
    {"experts_int8", "int8_per_channel_weight_only", "mxfp4", "gpt_oss_mxfp4", "nvfp4_per_token"}
)
_FLOAT8, _FLOAT4 = (
    89,
    100,
)  # compute capabilities (Ada, Blackwell) from which on they are multiplied
_LAYER = re.compile(r"layers\\?\.\d")
_LEFT_OUT = ("modules_to_not_convert", "ignore", "exclude_modules")


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
    parts = {**_attention(told, sizes), **_experts(told, sizes), **_types(told, server)}
    return {name: size for name, size in parts.items() if math.isfinite(size)}


def _attention(told: Config, sizes: Mapping[str, float]) -> dict[str, float]:
    latent = _number(told, "kv_lora_rank")
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
    rope, plain = _number(told, "qk_rope_head_dim"), _number(told, "qk_nope_head_dim")
    values, queries = _number(told, "v_head_dim"), _number(told, "q_lora_rank")
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
    width = _number(told, "intermediate_size_mlp") or sizes.get("intermediate", 0.0)  # Llama 4
    shared = _shared_width(told, sizes) if sizes.get("experts") else 0.0
    if "hidden" not in sizes or (without and not width):
        return found
    widths = without * width + found["moe_layers"] * shared
    return found | {"mlp_weights": 3.0 * sizes["hidden"] * widths / layers}


def _shared_width(told: Config, sizes: Mapping[str, float]) -> float:
    width = sizes.get("moe_intermediate", 0.0)
    if told.get("model_type") == "llama4_text":
        return width
    shared = next((number for name in _SHARED if (number := _number(told, name))), 0.0)
    if shared:
        return shared * width
    return next((number for name in _SHARED_WIDTH if (number := _number(told, name))), 0.0)


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
        _number(told, name)
        for name in ("first_k_dense_replace", "num_dense_layers", "moe_layer_start_index")
    )
    last = _number(told, "moe_layer_end_index") or layers - 1
    steps = ("decoder_sparse_step", "interleave_moe_layer_step", "moe_layer_interval")
    step = max(1.0, *(_number(told, name) for name in steps))
    every = _number(told, "moe_layer_freq") or 1.0
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


def _types(told: Config, server: Config) -> dict[str, float]:
    found = {}
    types = weight_types(told, server)
    if types is not None:
        of_experts, found["matmul_bytes"] = types
        plain = _plain_bytes(told, server)
        found["weight_bytes"] = plain if plain and _only_experts(told, server) else of_experts
        found["expert_weight_bytes"] = of_experts
    cache = kv_value_bytes(told, server)
    return found if cache is None else found | {"kv_value_bytes": cache}


def weight_types(told: Config, server: Config) -> tuple[float, float] | None:
    """Return the bytes of a value of quantised weights, and of what matrix products multiply.

    Parameters
    ----------
    told, server : Mapping
        As `model_parts` takes them.

    Returns
    -------
    tuple of float, or None
        None where the type is not known.
    """
    plain = _plain_bytes(told, server)
    scheme = _part(told, "quantization_config")
    method = server.get("quantization") or scheme.get("quant_method")
    if plain is None or not method:
        return None if plain is None else (plain, plain)
    if str(method) in _METHODS:
        weight_bytes, alike = _METHODS[str(method)]
        multiplied = weight_bytes // 0.5 * 0.5 if alike else plain
        return weight_bytes, plain if _is_beyond(multiplied, server) else multiplied
    group = _first_group(scheme)
    weights = _part(group, "weights") or group
    bits = _bits(weights) or _bits_of_bitsandbytes(scheme)
    if not bits:
        return None
    size = _number(weights, "group_size")
    scale = 1.0 if weights.get("type") == "float" and bits < 8 else plain  # NVFP4 and MXFP4
    scales = scale / size if size else 0.0
    inputs = _part(group, "input_activations")
    multiplied = _bits(inputs) / 8.0 or plain
    if inputs.get("type") == "float" and _is_beyond(multiplied, server):
        multiplied = plain
    return bits / 8.0 + scales, multiplied


def _is_beyond(float_bytes: float, server: Config) -> bool:
    """Return whether the GPU cannot multiply floats so short: vLLM widens them there (Marlin)."""
    capability = _number(server, "capability")
    return 0 < capability < (_FLOAT4 if float_bytes < 1 else _FLOAT8 if float_bytes < 2 else 0)


def _only_experts(told: Config, server: Config) -> bool:
    """Return whether a model with experts has attention that is not quantised."""
    scheme = _part(told, "quantization_config")
    if not model_sizes(told).get("experts"):
        return False
    if str(server.get("quantization") or scheme.get("quant_method")) in _OF_EXPERTS_ALONE:
        return True
    lists = [value for name in _LEFT_OUT if isinstance(value := scheme.get(name), list)]
    # One of a single layer is named with its number.
    return any("attn" in str(each) and not _LAYER.search(str(each)) for each in chain(*lists))


def _first_group(scheme: Config) -> Config:
    """Return how most weights are quantised: llm-compressor keeps schemes of groups of layers."""
    groups = _part(scheme, "config_groups")
    return next((each for each in groups.values() if isinstance(each, Mapping)), scheme)


def _part(config: Config, name: str) -> Config:
    value = config.get(name)
    return value if isinstance(value, Mapping) else {}


def kv_value_bytes(told: Config, server: Config) -> float | None:
    """Return the bytes of a value of the KV cache; None where they are not known.

    Parameters
    ----------
    told, server : Mapping
        As `model_parts` takes them.
    """
    cache = str(server.get("kv_cache_dtype") or "auto")
    if cache == "auto":
        return _plain_bytes(told, server)
    if cache.startswith(("fp8", "int8")):
        return 1.0
    known = DTYPE_BYTES.get(cache)
    return None if known is None else float(known)


def _plain_bytes(told: Config, server: Config) -> float | None:
    """Bytes of an activation: the server's type, or else the configuration's."""
    known = DTYPE_BYTES.get(str(server.get("dtype")))
    return float(known) if known else model_sizes(told).get("dtype_bytes")


def _bits(scheme: Config) -> float:
    return next((number for name in _BITS if (number := _number(scheme, name))), 0.0)


def _bits_of_bitsandbytes(scheme: Config) -> float:
    return next((bits for bits in (8.0, 4.0) if scheme.get(f"load_in_{bits:.0f}bit")), 0.0)


def _number(told: Config, name: str) -> float:
    """Return a number above 0, of a list what all layers have in common; or 0."""
    value = told.get(name)
    if isinstance(value, list) and value and all(each == value[0] for each in value):
        value = value[0]
    number = None if isinstance(value, bool) else finite_number(value)
    return number if number is not None and number > 0 else 0.0
