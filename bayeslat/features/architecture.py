"""Constants of a model's architecture, from a Hugging Face `config.json`."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType

from bayeslat.errors import SpecError
from bayeslat.features.names import is_plain_name

__all__ = ["SHORT_NAMES", "flatten_config", "read_architecture"]

type Config = Mapping[str, object]

SHORT_NAMES: tuple[str, ...] = (
    "hidden",
    "layers",
    "heads",
    "kv_heads",
    "head_dim",
    "intermediate",
    "experts",
    "experts_per_token",
    "moe_intermediate",
    "vocab",
    "dtype_bytes",
    "vision_hidden",
    "vision_layers",
    "vision_heads",
    "vision_intermediate",
    "patch",
    "merge",
)
"""Names that mean the same for every model, whatever its `config.json` calls them."""

_TEXT_PARTS = ("text_config", "language_config", "llm_config")
_VISION_PARTS = ("vision_config",)

_TEXT_FIELDS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "hidden": ("hidden_size", "n_embd", "d_model"),
        "layers": ("num_hidden_layers", "n_layer", "num_layers"),
        "heads": ("num_attention_heads", "n_head", "num_heads"),
        "kv_heads": ("num_key_value_heads",),
        "head_dim": ("head_dim",),
        "intermediate": ("intermediate_size", "n_inner", "ffn_dim"),
        "experts": ("num_experts", "num_local_experts", "n_routed_experts"),
        "experts_per_token": ("num_experts_per_tok", "num_experts_per_token", "moe_topk"),
        "moe_intermediate": ("moe_intermediate_size", "expert_ffn_hidden_size"),
        "vocab": ("vocab_size",),
    }
)
# `embed_dim` first: in Qwen2-VL `hidden_size` of the vision part is the width it hands on.
_VISION_FIELDS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "vision_hidden": ("embed_dim", "hidden_size"),
        "vision_layers": ("depth", "num_hidden_layers"),
        "vision_heads": ("num_heads", "num_attention_heads"),
        "vision_intermediate": ("intermediate_size",),
        "patch": ("patch_size",),
        "merge": ("spatial_merge_size",),
    }
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
_DTYPE_BYTES: Mapping[str, int] = MappingProxyType(
    {
        "float64": 8,
        "float32": 4,
        "float16": 2,
        "bfloat16": 2,
        "float8_e4m3fn": 1,
        "float8_e5m2": 1,
        "int8": 1,
    }
)


def read_architecture(path: str | Path) -> dict[str, float]:
    """Read the numbers of a Hugging Face `config.json`.

    Parameters
    ----------
    path : str or Path
        The file.

    Returns
    -------
    dict of str to float
        What `flatten_config` makes of it.

    Raises
    ------
    SpecError
        If the file cannot be read, is not a JSON object, or holds no number.
    """
    try:
        config = json.loads(Path(path).read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise SpecError(
            f"cannot read {str(path)!r}: {error.strerror or error}; give the path of a model's "
            "config.json relative to the spec"
        ) from None
    except (ValueError, RecursionError) as error:
        raise SpecError(
            f"{str(path)!r} is not JSON ({error}); give the config.json of a Hugging Face model"
        ) from None
    if not isinstance(config, dict):
        raise SpecError(
            f"{str(path)!r} must hold a JSON object and holds a {type(config).__name__}; give the "
            "config.json of a Hugging Face model"
        )
    constants = flatten_config(config)
    if not constants:
        raise SpecError(
            f"{str(path)!r} holds no number; give the config.json of a Hugging Face model"
        )
    return constants


def flatten_config(config: Config) -> dict[str, float]:
    """Flatten a model's configuration to named numbers.

    Top-level fields keep their names, those of the text part get the prefix ``text_`` and those of
    the vision part ``vision_``. Well-known fields come under `SHORT_NAMES` too, taken from the text
    part where there is one. What is not a number is left out; true and false are 1 and 0.

    Parameters
    ----------
    config : Mapping
        The content of a `config.json` (qwen3_moe, qwen3_vl, qwen3_vl_moe, llava, llama, mixtral
        and others shaped like them).

    Returns
    -------
    dict of str to float
        Sorted by name. `dtype_bytes` is the size of a number of the stored dtype; a dense model
        has no `experts`.

    Examples
    --------
    >>> flatten_config({"hidden_size": 64, "num_attention_heads": 4})["head_dim"]
    16.0
    """
    text = _part(config, _TEXT_PARTS)
    vision = _part(config, _VISION_PARTS)
    constants = {
        **_numbers(config),
        **_numbers(text, "text_"),
        **_numbers(vision, "vision_"),
        **_text_constants({**config, **text}),
        **_find(vision, _VISION_FIELDS),
    }
    if "merge" not in constants and vision:
        constants |= _find(config, {"merge": _VISION_FIELDS["merge"]})
    return dict(sorted(constants.items()))


def _part(config: Config, keys: Iterable[str]) -> dict[str, object]:
    """Return a nested configuration with its class's defaults, empty where there is none."""
    nested = next((value for key in keys if isinstance(value := config.get(key), dict)), {})
    kind = nested.get("model_type")
    defaults = _CLASS_DEFAULTS.get(kind, {}) if isinstance(kind, str) else {}
    return {**defaults, **nested}


def _text_constants(text: Config) -> dict[str, float]:
    constants = _find(text, _TEXT_FIELDS)
    if "heads" in constants:
        constants.setdefault("kv_heads", constants["heads"])
    if constants.get("heads", 0.0) > 0 and "hidden" in constants:
        constants.setdefault("head_dim", constants["hidden"] // constants["heads"])
    if "experts" in constants and "intermediate" in constants:
        # Mixtral calls the experts' inner size plainly `intermediate_size`.
        constants.setdefault("moe_intermediate", constants["intermediate"])
    dtype = text.get("dtype") or text.get("torch_dtype")
    if isinstance(dtype, str) and dtype.removeprefix("torch.") in _DTYPE_BYTES:
        constants["dtype_bytes"] = float(_DTYPE_BYTES[dtype.removeprefix("torch.")])
    return constants


def _find(config: Config, fields: Mapping[str, tuple[str, ...]]) -> dict[str, float]:
    """Return each short name whose first present spelling is a number."""
    found: dict[str, float] = {}
    for short, spellings in fields.items():
        numbers = (_number(config.get(spelling)) for spelling in spellings)
        value = next((number for number in numbers if number is not None), None)
        if value is not None:
            found[short] = value
    return found


def _numbers(config: Config, prefix: str = "") -> dict[str, float]:
    pairs = ((prefix + key, _number(value)) for key, value in config.items())
    return {key: value for key, value in pairs if value is not None and is_plain_name(key)}


def _number(value: object) -> float | None:
    """Return a finite number, the side of a square given as [14, 14], or None."""
    if isinstance(value, list) and value and all(item == value[0] for item in value):
        value = value[0] if len(value) == 2 else None
    if not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None
