"""Which family a model is of."""

from __future__ import annotations

from typing import Any

from bayeslat.collect.families.family import Family
from bayeslat.collect.families.llava import Llava
from bayeslat.collect.families.qwen_vl import QwenVl
from bayeslat.errors import InputError

__all__ = ["family_of"]

_FAMILIES: tuple[Family, ...] = (QwenVl(), Llava())


def family_of(config: Any, name: str) -> Family:
    """Return the family of a model.

    Parameters
    ----------
    config : PreTrainedConfig
        The model's configuration.
    name : str
        What the user called it.

    Raises
    ------
    InputError
        If the model is of no family that can be measured; the message lists those that can.
    """
    for family in _FAMILIES:
        if config.model_type in family.model_types:
            return family
    known = sorted(model_type for family in _FAMILIES for model_type in family.model_types)
    raise InputError(
        f"{name}: model_type is {config.model_type!r}, and these can be measured: "
        f"{', '.join(known)}"
    )
