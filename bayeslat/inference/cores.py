"""How many cores there are to compute on."""

from __future__ import annotations

from joblib import cpu_count

__all__ = ["available_cores"]


def available_cores() -> int:
    """Return the number of cores that this process may use."""
    return int(cpu_count())
