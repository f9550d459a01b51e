"""Reading objects of vLLM, whose fields come and go between its versions."""

from __future__ import annotations

import math
from collections.abc import Mapping

__all__ = ["Names", "Row", "Scalar", "field_at", "number", "numbers", "scalars_of"]

Scalar = str | int | float | bool
Row = dict[str, object]
Names = tuple[tuple[str, str], ...]  # of the column, of the attribute

_DECIMALS = 6  # a nanosecond of what is in ms


def numbers(holder: object, names: Names) -> dict[str, int | float]:
    """Return the finite numbers among the attributes of an object, by column."""
    row: dict[str, int | float] = {}
    for column, attribute in names:
        try:
            value = getattr(holder, attribute, None)
        except Exception:  # noqa: BLE001 - a property may raise anything
            continue
        if type(value) is int:  # most are, and this runs for every iteration
            row[column] = value
        elif value is not None:
            found = number(value)
            if found is not None:
                row[column] = found
    return row


def number(value: object) -> int | float | None:
    """Return a value as a finite number, to six decimals; None if it is none."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    try:
        found = float(value)  # type: ignore[arg-type]  # perhaps of another library
    except Exception:  # noqa: BLE001 - such as an array of several
        return None
    return round(found, _DECIMALS) if math.isfinite(found) else None


def field_at(holder: object, path: str) -> object:
    """Return what stands at a dotted path of attributes; None where any of it is missing."""
    for name in path.split("."):
        try:
            holder = getattr(holder, name, None)
        except Exception:  # noqa: BLE001 - a property may raise anything
            return None
    return holder


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
