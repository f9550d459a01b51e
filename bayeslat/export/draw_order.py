"""The order of a bundle's draws: the outermost come first, and tails need no others."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["order_draws"]

_FIRST = (16, 4)  # parts of the draws that may come first


def order_draws(
    logs: NDArray[np.float64],
) -> tuple[NDArray[np.int64], list[tuple[int, float, float]]]:
    """Order draws by how far they stray from the mean of all, at any config.

    Parameters
    ----------
    logs : ndarray, shape (config, draw)
        Log of the total.

    Returns
    -------
    order : ndarray of int, shape (draw,)
    reach : list of (int, float, float)
        A number of first draws, and within how many sds below and above the mean all others are,
        at every config. Of all draws (the first entry), one may be farther.
    """
    away = logs - logs.mean(axis=1, keepdims=True)
    away /= np.maximum(away.std(axis=1, keepdims=True), np.finfo(np.float64).tiny)
    order = np.argsort(-np.max(np.abs(away), axis=0), kind="stable")
    ends = np.sort(away, axis=1)
    reach = [(0, float(-ends[:, 1].min()), float(ends[:, -2].max()))]
    for part in _FIRST:
        first = max(logs.shape[1] // part, 1)
        others = away[:, order[first:]]
        reach.append((first, float(-others.min()), float(others.max())))
    return order, reach
