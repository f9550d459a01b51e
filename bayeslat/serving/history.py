"""The iterations of the last minutes, so that a request finds the state that it met."""

from __future__ import annotations

from bisect import bisect_left

from bayeslat.serving.read_fields import Row

__all__ = ["History"]

_KEPT = 65_536  # iterations: at 10 ms each, 11 minutes
# What a request meets that comes before the first iteration.
_IDLE: Row = {"running": 0, "waiting": 0, "deferred": 0, "kv_usage": 0.0}


class History:
    """The rows of past iterations, by time.

    The engine takes requests in between iterations only. A request that seems to have been queued
    during one was queued before it, if that is nearer, or after it: the clocks of engine and
    server are a message apart.

    Parameters
    ----------
    kept : int
        Rows that are remembered, and up to twice as many.
    """

    def __init__(self, kept: int = _KEPT) -> None:
        self._kept = kept
        self._middles: list[float] = []
        self._rows: list[Row] = []
        self._is_whole = True

    def add(self, row: Row) -> None:
        """Remember an iteration; in the order in which they end."""
        if len(self._rows) >= 2 * self._kept:
            del self._middles[: self._kept], self._rows[: self._kept]
            self._is_whole = False
        at_s, elapsed_ms = row.get("at_s"), row.get("elapsed_ms")
        middle = at_s if isinstance(at_s, float) else 0.0
        if isinstance(elapsed_ms, float):
            middle -= elapsed_ms / 2e3
        self._middles.append(middle)
        self._rows.append(row)

    def before(self, at_s: float) -> Row:
        """Return the last iteration before a time; empty where it is not remembered."""
        place = bisect_left(self._middles, at_s)
        if place:
            return self._rows[place - 1]
        return _IDLE if self._is_whole else {}
