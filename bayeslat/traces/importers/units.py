"""Units of time that tools write, as ms."""

from __future__ import annotations

__all__ = ["MS_PER_UNIT"]

MS_PER_UNIT = {
    "ns": 1e-6,
    "nanoseconds": 1e-6,
    "us": 1e-3,
    "µs": 1e-3,
    "microseconds": 1e-3,
    "ms": 1.0,
    "milliseconds": 1.0,
    "s": 1e3,
    "sec": 1e3,
    "seconds": 1e3,
}
