"""What goes wrong in the logger: counted, and told once in the server's log."""

from __future__ import annotations

import contextlib
import logging

__all__ = ["Troubles", "tell"]

# A child of vLLM's own logger: its lines stand in the server's log.
_LOG = logging.getLogger("vllm.bayeslat")


def tell(message: str, level: int = logging.WARNING) -> None:
    """Write a line into the server's log."""
    with contextlib.suppress(Exception):
        _LOG.log(level, "bayeslat: %s", message)


class Troubles:
    """Counts errors, and tells the first of each kind.

    Attributes
    ----------
    count : int
        Errors so far.
    """

    def __init__(self) -> None:
        self.count = 0
        self._told: set[str] = set()

    def note(self, what: str, error: BaseException) -> None:
        """Count an error; the first of its kind is told."""
        self.count += 1
        kind = f"{what}: {type(error).__name__}"
        if kind not in self._told:
            self._told.add(kind)
            tell(f"{what}: {type(error).__name__}: {error}; the server goes on, this is told once")
