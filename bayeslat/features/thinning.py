"""Taking some of many: evenly spread, so that nothing is left to chance."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["evenly"]


def evenly(count: int, most: int) -> NDArray[np.int64]:
    """Return at most so many positions among `count`, evenly spread. Shape (kept,)."""
    return np.linspace(0, count - 1, min(count, most)).round().astype(np.int64)
