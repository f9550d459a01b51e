"""A mapping that cannot change, hashes by content and can be sent to another process."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import AfterValidator, SerializerFunctionWrapHandler, WrapSerializer

__all__ = ["FREEZE", "THAW", "FrozenMap"]


class FrozenMap[K, V](Mapping[K, V]):
    """An immutable mapping that keeps the order of its keys.

    `types.MappingProxyType` cannot be pickled, so worker processes could not receive it.

    Parameters
    ----------
    items : Mapping
        The content, which is copied.
    """

    __slots__ = ("_items",)

    def __init__(self, items: Mapping[K, V]) -> None:
        self._items = dict(items)

    def __getitem__(self, key: K) -> V:
        return self._items[key]

    def __iter__(self) -> Iterator[K]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __hash__(self) -> int:
        return hash(frozenset(self._items.items()))

    def __repr__(self) -> str:
        return f"FrozenMap({self._items!r})"


def _thaw(value: Mapping[Any, Any], handler: SerializerFunctionWrapHandler) -> Any:
    return handler(dict(value))


FREEZE = AfterValidator(FrozenMap)
"""Makes a pydantic field of type Mapping hold a `FrozenMap`."""
THAW = WrapSerializer(_thaw)
"""Lets pydantic write such a field as a dict."""
