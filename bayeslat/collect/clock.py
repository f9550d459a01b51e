"""Moments on the device that computes: none of them makes it wait."""

from __future__ import annotations

import time
from typing import Any, Protocol

from bayeslat.collect.backend import load_torch

__all__ = ["Clock", "CudaClock", "HostClock", "clock_of"]


class Clock(Protocol):
    """Marks moments, and tells the time between them afterwards."""

    def mark(self) -> Any:
        """Mark the moment when all work that was given to the device is done."""

    def settle(self) -> None:
        """Wait until the device has nothing left to do."""

    def elapsed_ms(self, start: Any, end: Any) -> float:
        """Return the time between two marks; after `settle`."""


class HostClock:
    """The monotonic clock of the processor, where work is done when its call returns."""

    def mark(self) -> int:
        """Return the time in ns."""
        return time.perf_counter_ns()

    def settle(self) -> None:
        """Return at once."""

    def elapsed_ms(self, start: int, end: int) -> float:
        """Return the time between two marks."""
        return (end - start) / 1e6


class CudaClock:
    """Events in the stream of a GPU, which works while Python runs ahead.

    Parameters
    ----------
    device : str
        A torch device.
    """

    def __init__(self, device: str) -> None:
        self._cuda = load_torch().cuda
        self._device = device

    def mark(self) -> Any:
        """Put an event behind the work that was given to the GPU."""
        event = self._cuda.Event(enable_timing=True)
        event.record(self._cuda.current_stream(self._device))
        return event

    def settle(self) -> None:
        """Wait for the GPU."""
        self._cuda.synchronize(self._device)

    def elapsed_ms(self, start: Any, end: Any) -> float:
        """Return the time between two events, to half a microsecond."""
        return float(start.elapsed_time(end))


def clock_of(device: Any) -> Clock:
    """Return the clock of a torch device."""
    return CudaClock(str(device)) if str(device).startswith("cuda") else HostClock()
