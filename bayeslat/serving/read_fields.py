"""Reading objects of vLLM, whose fields come and go between its versions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from operator import attrgetter

__all__ = ["Names", "Row", "Scalar", "field", "field_at", "number", "numbers", "scalars_of"]

Scalar = str | int | float | bool
Row = dict[str, object]

_DECIMALS = 6  # a nanosecond of what is in ms


class Names:
    """Attributes of an object, and the columns that their numbers go to.

    Parameters
    ----------
    **attributes : str
        The attribute of each column.
    """

    def __init__(self, **attributes: str) -> None:
        self.columns = tuple(attributes)
        self.attributes = tuple(attributes.values())
        self.read_all = attrgetter(*self.attributes)  # at once, which is three times faster

    def read(self, holder: object) -> Sequence[object]:
        """Return the attributes; None for each that is missing or fails."""
        try:
            values = self.read_all(holder)
        except Exception:  # noqa: BLE001 - one of them is missing, or a property raises anything
            return [field(holder, attribute) for attribute in self.attributes]
        return values if len(self.attributes) > 1 else (values,)


def numbers(holder: object, names: Names) -> dict[str, int | float]:
    """Return the finite numbers among the attributes of an object, by column."""
    row: dict[str, int | float] = {}
    for column, value in zip(names.columns, names.read(holder)):  # noqa: B905 - of one length
        if type(value) is int:  # most are, and this runs for every iteration
            row[column] = value
        elif value is not None:
            found = number(value)
            if found is not None:
                row[column] = found
    return row


def number(value: object) -> int | float | None:
    """Return a value as a finite number, to six decimals; None if it is none."""
    if type(value) is not float:
        if isinstance(value, bool):
            return None
        if isinstance(value, int):
            return int(value)
        try:
            value = float(value)  # type: ignore[arg-type]  # perhaps of another library
        except Exception:  # noqa: BLE001 - such as an array of several
            return None
    return round(value, _DECIMALS) if math.isfinite(value) else None


def field(holder: object, name: str) -> object:
    """Return an attribute; None where it is missing or fails."""
    try:
        return getattr(holder, name, None)
    except Exception:  # noqa: BLE001 - a property may raise anything
        return None


def field_at(holder: object, path: str) -> object:
    """Return what stands at a dotted path of attributes; None where any of it is missing."""
    for name in path.split("."):
        holder = field(holder, name)
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
