"""Bytes of a value of weights, which may be quantised, of matrix products and of the KV cache."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import chain

from bayeslat.traces.model_sizes import DTYPE_BYTES, model_sizes, size_of

__all__ = ["kv_value_bytes", "value_types", "weight_types"]

type Config = Mapping[str, object]

_BITS = ("bits", "w_bit", "weight_bits", "num_bits")
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
# Compute capabilities (Ada, Blackwell) from which on floats of 8 and 4 bits are multiplied.
_FLOAT8, _FLOAT4 = 89, 100
_LAYER = re.compile(r"layers\\?\.\d")
_LEFT_OUT = ("modules_to_not_convert", "ignore", "exclude_modules")


def value_types(told: Config, server: Config) -> dict[str, float]:
    """Return the bytes of values by the names of `model_parts.PARTS`.

    Parameters
    ----------
    told : Mapping
        The configuration of a language model (`model_sizes.language_config`).
    server : Mapping
        Of the server: `dtype`, `quantization`, `kv_cache_dtype`, and `capability` of its GPU.

    Returns
    -------
    dict of str to float
        What is not known is left out.
    """
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
        As `value_types` takes them.

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
        return weight_bytes, _as_multiplied(weight_bytes, plain, server) if alike else plain
    group = _first_group(scheme)
    weights = _part(group, "weights") or group
    bits = _bits(weights) or _bits_of_bitsandbytes(scheme)
    if not bits:
        return None
    size = size_of(weights, "group_size")
    scale = 1.0 if weights.get("type") == "float" and bits < 8 else plain  # NVFP4 and MXFP4
    scales = scale / size if size else 0.0
    inputs = _part(group, "input_activations")
    multiplied = _bits(inputs) / 8.0 or plain
    if inputs.get("type") == "float":
        multiplied = _as_multiplied(multiplied, plain, server)
    return bits / 8.0 + scales, multiplied


def _as_multiplied(float_bytes: float, plain: float, server: Config) -> float:
    """Return the bytes, without scales, of what the GPU multiplies: vLLM widens what it cannot."""
    least = _FLOAT4 if float_bytes < 1 else _FLOAT8 if float_bytes < 2 else 0
    return plain if 0 < size_of(server, "capability") < least else float_bytes // 0.5 * 0.5


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
        As `value_types` takes them.
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
    return next((number for name in _BITS if (number := size_of(scheme, name))), 0.0)


def _bits_of_bitsandbytes(scheme: Config) -> float:
    return next((bits for bits in (8.0, 4.0) if scheme.get(f"load_in_{bits:.0f}bit")), 0.0)
