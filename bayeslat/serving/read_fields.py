"""Reading objects of vLLM, whose fields come and go between its versions."""

from __future__ import annotations

import math
from collections.abc import Mapping

__all__ = ["Row", "Scalar", "field_at", "number_at", "scalars_of", "span_ms"]

Scalar = str | int | float | bool
Row = dict[str, object]

_DECIMALS = 6  # a nanosecond of what is in ms


def field_at(holder: object, path: str) -> object:
    """Return what stands at a dotted path of attributes; None where any of it is missing."""
    for name in path.split("."):
        try:
            holder = getattr(holder, name, None)
        except Exception:  # noqa: BLE001 - a property may raise anything; a server goes on
            return None
    return holder


def number_at(holder: object, path: str) -> int | float | None:
    """Return the finite number at a dotted path; None where there is none."""
    value = field_at(holder, path)
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int):
        return value
    try:
        number = float(value)  # type: ignore[arg-type]  # perhaps of another library
    except (TypeError, ValueError):
        return None
    return round(number, _DECIMALS) if math.isfinite(number) else None


def span_ms(holder: object, path: str) -> float | None:
    """Return a time that is given in s, in ms."""
    seconds = number_at(holder, path)
    return None if seconds is None else round(1e3 * seconds, _DECIMALS)


def scalars_of(holder: object) -> dict[str, Scalar]:
    """Return the entries of a configuration that are text, numbers or truth values."""
    try:
        entries = holder.to_dict()  # type: ignore[attr-defined]
    except Exception:  # noqa: BLE001 - whatever it is, it has no entries to tell
        return {}
    if not isinstance(entries, Mapping):
        return {}
    return {str(name): value for name, value in entries.items() if _is_plain(value)}


def _is_plain(value: object) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, str | int | bool)
