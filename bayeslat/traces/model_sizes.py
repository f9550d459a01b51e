"""Sizes of a language model, whatever its Hugging Face `config.json` calls them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from bayeslat.finite import finite_number

__all__ = [
    "DTYPE_BYTES",
    "FIELDS",
    "LANGUAGE_PARTS",
    "language_config",
    "model_sizes",
    "nested_part",
    "size_of",
]

type Config = Mapping[str, object]

FIELDS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "hidden": ("hidden_size", "n_embd", "d_model"),
        "layers": ("num_hidden_layers", "n_layer", "num_layers", "n_layers"),
        "heads": ("num_attention_heads", "n_head", "num_heads", "n_heads", "attention_heads"),
        "kv_heads": (
            *("num_key_value_heads", "num_kv_heads", "n_head_kv", "kv_n_heads"),
            *("multi_query_group_num", "num_attention_groups"),
        ),
        "head_dim": ("head_dim", "kv_channels", "attention_head_dim", "hidden_size_per_head"),
        "intermediate": ("intermediate_size", "n_inner", "ffn_dim", "ffn_hidden_size"),
        "experts": ("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts"),
        "experts_per_token": (
            *("num_experts_per_tok", "num_experts_per_token", "experts_per_token"),
            *("moe_topk", "moe_top_k", "moe_k", "top_k_experts"),
        ),
        "moe_intermediate": ("moe_intermediate_size", "expert_ffn_hidden_size"),
        "vocab": ("vocab_size",),
    }
)
"""What each size is called, the likeliest name first."""

DTYPE_BYTES: Mapping[str, int] = MappingProxyType(
    {
        "float64": 8,
        "float32": 4,
        "float": 4,
        "float16": 2,
        "half": 2,
        "bfloat16": 2,
        "float8_e4m3fn": 1,
        "float8_e5m2": 1,
        "int8": 1,
    }
)

LANGUAGE_PARTS = ("text_config", "language_config", "llm_config")
"""Where a configuration of several models has the one of language."""

_PARTS = ("attn_config", "ffn_config")  # of MPT and DBRX
# Where no width of the MLP is told, it is four times the model's.
_FOURFOLD = frozenset(
    {"bloom", "codegen", "falcon", "gpt2", "gpt_bigcode", "gpt_neo", "gptj", "mpt"}
)


# transformers leaves out of a *nested* configuration every field that has its class's default
# (LLaVA's files rely on it), so these defaults are what such a file says.
_CLASS_DEFAULTS: Mapping[str, Mapping[str, int]] = MappingProxyType(
    {
        "llama": {
            "hidden_size": 4096,
            "intermediate_size": 11008,
            "num_hidden_layers": 32,
            "num_attention_heads": 32,
            "vocab_size": 32000,
        },
        "mistral": {
            "hidden_size": 4096,
            "intermediate_size": 14336,
            "num_hidden_layers": 32,
            "num_attention_heads": 32,
            "num_key_value_heads": 8,
            "vocab_size": 32000,
        },
        "clip_vision_model": {
            "hidden_size": 768,
            "intermediate_size": 3072,
            "num_hidden_layers": 12,
            "num_attention_heads": 12,
            "image_size": 224,
            "patch_size": 32,
        },
    }
)


def nested_part(config: Config, keys: Iterable[str]) -> dict[str, object]:
    """Return a part of a configuration with its class's defaults; empty where there is none.

    Parameters
    ----------
    config : Mapping
        The content of a `config.json`.
    keys : iterable of str
        What the part may be called.
    """
    # A model that speaks, too, nests all that it reads once more.
    places = (config, config.get("thinker_config"))
    maps = [place for place in places if isinstance(place, Mapping)]
    parts = (part for place in maps for key in keys if isinstance(part := place.get(key), dict))
    nested = next(parts, {})
    kind = nested.get("model_type")
    defaults = _CLASS_DEFAULTS.get(kind, {}) if isinstance(kind, str) else {}
    return {**defaults, **nested}


def language_config(config: Config) -> dict[str, object]:
    """Return what a configuration says of the language model, at its top and in its part.

    Parameters
    ----------
    config : Mapping
        The content of a `config.json`.

    Returns
    -------
    dict of str to object
        What the part says counts before what stands at the top; what is null is left out.
    """
    part = nested_part(config, LANGUAGE_PARTS)
    said = [*config.items(), *part.items()]
    return {name: value for name, value in said if value is not None}


def model_sizes(config: Config) -> dict[str, float]:
    """Return the sizes of a language model under names that are the same for all.

    Parameters
    ----------
    config : Mapping
        Of `language_config`.

    Returns
    -------
    dict of str to float
        By the names of `FIELDS`, and `dtype_bytes` of the activations: weights and cache may be
        quantised. What the configuration does not say, nor its kind of model implies, is left out,
        and so is a size that differs between layers. A dense model has no `experts`.
    """
    parts = [part for key in _PARTS if isinstance(part := config.get(key), dict)]
    told = {name: value for part in (*parts, config) for name, value in part.items()}
    found: dict[str, float] = {}
    for size, names in FIELDS.items():
        numbers = [number for name in names if (number := _size(told.get(name))) is not None]
        if numbers:
            found[size] = next((number for number in numbers if number > 0), numbers[0])
    if told.get("multi_query") is True and not told.get("new_decoder_architecture"):
        found["kv_heads"] = 1.0  # as Falcon and StarCoder say it, whatever else stands there
    if found.get("heads", 0.0) > 0:
        if found.get("kv_heads", 0.0) <= 0:
            found["kv_heads"] = found["heads"]
        if "hidden" in found and found.get("head_dim", 0.0) <= 0:
            found["head_dim"] = found["hidden"] // found["heads"]
    if str(told.get("model_type")) in _FOURFOLD and "hidden" in found:
        found.setdefault("intermediate", 4.0 * found["hidden"])
    has_width = any(told.get(name) for name in FIELDS["moe_intermediate"])
    if found.get("experts") and "intermediate" in found and not has_width:
        found["moe_intermediate"] = found["intermediate"]  # as Mixtral calls it
    return found | _dtype_bytes(told)


def _dtype_bytes(told: Config) -> dict[str, float]:
    dtype = told.get("dtype") or told.get("torch_dtype")
    if not isinstance(dtype, str) or dtype.removeprefix("torch.") not in DTYPE_BYTES:
        return {}
    return {"dtype_bytes": float(DTYPE_BYTES[dtype.removeprefix("torch.")])}


def _size(value: object) -> float | None:
    """Return a size; of a list, what all layers have in common."""
    if isinstance(value, list) and value and all(each == value[0] for each in value):
        value = value[0]
    return None if isinstance(value, bool) else finite_number(value)


def size_of(config: Config, name: str) -> float:
    """Return a number above 0; of a list, what all layers have in common; else 0.

    Parameters
    ----------
    config : Mapping
    name : str
    """
    return max(_size(config.get(name)) or 0.0, 0.0)
