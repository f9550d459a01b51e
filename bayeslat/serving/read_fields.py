"""Reading objects of vLLM, whose fields come and go between its versions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from operator import attrgetter

__all__ = ["Names", "Row", "entries_of", "field", "field_at", "number", "numbers"]

Row = dict[str, object]

_DECIMALS = 6  # a nanosecond of what is in ms
_MOST = 512  # entries of a list or a part: as many as a model has layers, not as many as tokens


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


def entries_of(holder: object, parts: int = 1) -> Row:
    """Return the entries of a configuration that JSON can hold.

    These are text, numbers and truth values, lists of them (of a model whose layers differ), and
    parts that hold such entries. What is empty, longer than any model has layers, or nested deeper
    is left out.

    Parameters
    ----------
    holder : object
        A dict, or something with `to_dict`.
    parts : int
        How deep parts may be nested.
    """
    try:
        entries = holder if isinstance(holder, Mapping) else holder.to_dict()  # type: ignore[attr-defined]
        return _plain_entries(entries, parts)
    except Exception:  # noqa: BLE001 - whatever it is, it has no entries to tell
        return {}


def _plain_entries(entries: Mapping[object, object], parts: int) -> Row:
    found: Row = {}
    for name, value in entries.items():
        plain = _plain(value)
        if plain is None and isinstance(value, Sequence) and 0 < len(value) <= _MOST:
            items = [_plain(each) for each in value]
            plain = None if isinstance(value, str) or None in items else items
        if isinstance(value, Mapping) and parts > 0 and len(value) <= _MOST:
            plain = _plain_entries(value, parts - 1) or None
        if plain is not None:
            found[str(name)] = plain
    return found


def _plain(value: object) -> object:
    """Return text, a truth value or a finite number, also one of NumPy; None of all else."""
    if isinstance(value, str | bool):
        return value
    if not isinstance(value, int | float) and hasattr(value, "item"):
        try:
            value = value.item()  # raises for several
        except Exception:  # noqa: BLE001 - an array, or of a library that answers otherwise
            return None
    if isinstance(value, int | str):
        return value
    return value if isinstance(value, float) and math.isfinite(value) else None
