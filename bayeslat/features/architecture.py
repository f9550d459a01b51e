"""Constants of a model's architecture, from a Hugging Face `config.json`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from bayeslat.errors import SpecError
from bayeslat.features.names import is_plain_name
from bayeslat.finite import finite_number
from bayeslat.traces.model_sizes import LANGUAGE_PARTS, language_config, model_sizes, nested_part

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

_VISION_PARTS = ("vision_config",)

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
        Sorted by name. `dtype_bytes` is the size of a number of the stored dtype, or, where weights
        are quantised, of the activations; a dense model has no `experts`.

    Examples
    --------
    >>> flatten_config({"hidden_size": 64, "num_attention_heads": 4})["head_dim"]
    16.0
    """
    text = nested_part(config, LANGUAGE_PARTS)
    vision = nested_part(config, _VISION_PARTS)
    constants = {
        **_numbers(config),
        **_numbers(text, "text_"),
        **_numbers(vision, "vision_"),
        **model_sizes(language_config(config)),
        **_find(vision, _VISION_FIELDS),
    }
    if "merge" not in constants and vision:
        constants |= _find(config, {"merge": _VISION_FIELDS["merge"]})
    return dict(sorted(constants.items()))


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
    return finite_number(value)
