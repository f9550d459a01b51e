"""Finished parts of a comparison: one file a method and repetition, so that it can go on later."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bayeslat.atomic import atomic_path

__all__ = ["Parts"]


@dataclass(frozen=True)
class Parts:
    """A folder of parts.

    Attributes
    ----------
    folder : Path or None
        None keeps nothing.
    """

    folder: Path | None

    def missing(self, methods: tuple[str, ...], repetition: int) -> tuple[str, ...]:
        """Return the methods whose part of a repetition is not there."""
        return tuple(method for method in methods if not self._exists(method, repetition))

    def read(self, method: str, repetition: int) -> dict[str, Any]:
        """Return a part that is there."""
        part: dict[str, Any] = json.loads(self._path(method, repetition).read_text("utf-8"))
        return part

    def write(self, method: str, repetition: int, part: dict[str, Any]) -> None:
        """Keep a part."""
        if self.folder is not None:
            with atomic_path(self._path(method, repetition)) as temporary:
                temporary.write_text(json.dumps(part), encoding="utf-8")

    def _exists(self, method: str, repetition: int) -> bool:
        return self.folder is not None and self._path(method, repetition).exists()

    def _path(self, method: str, repetition: int) -> Path:
        assert self.folder is not None
        return self.folder / f"{method}_{repetition}.json"
