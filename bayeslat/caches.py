"""Cached properties stay out of pickles: what a value is does not change with its use."""

from __future__ import annotations

from functools import cached_property
from typing import Any

__all__ = ["without_caches"]


def without_caches(value: object) -> dict[str, Any]:
    """Return the attributes of an object but its cached properties, for `__getstate__`."""
    kinds = type(value).__mro__
    return {
        name: held
        for name, held in vars(value).items()
        if not any(isinstance(vars(kind).get(name), cached_property) for kind in kinds)
    }
