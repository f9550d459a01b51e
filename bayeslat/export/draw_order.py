"""The order of a bundle's draws: the outermost come first, and tails need no others."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["order_draws"]

_FIRST = (16, 4)  # parts of the draws that may come first


def order_draws(
    logs: NDArray[np.float64], times: NDArray[np.float64]
) -> tuple[NDArray[np.int64], list[tuple[int, float, float]]]:
    """Order draws by how far the total strays from where a reader takes its middle, at any config.

    Parameters
    ----------
    logs : ndarray, shape (stage, config, draw)
        Log of one run of each stage.
    times : ndarray, shape (stage, config)
        How often each counts; 0 for not at all.

    Returns
    -------
    order : ndarray of int, shape (draw,)
    reach : list of (int, float, float)
        A number of first draws, and within how many sds below and above the middle all others are,
        at every config. Of all draws (the first entry), one may be farther.
    """
    middle, sd = _closed_form(logs, times)
    away = np.log(np.sum(times[:, :, None] * np.exp(logs), axis=0)) - middle[:, None]
    away /= np.maximum(sd, np.finfo(np.float32).tiny)[:, None]
    order = np.argsort(-np.max(np.abs(away), axis=0), kind="stable")
    ends = np.sort(away, axis=1)
    reach = [_reach(0, ends[:, 1], ends[:, -2])]
    for part in _FIRST:
        first = max(logs.shape[2] // part, 1)
        others = away[:, order[first:]]
        reach.append(_reach(first, others, others))
    return order, reach


def _closed_form(
    logs: NDArray[np.float64], times: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Middle and sd of the log total, as `weigh` of the reader has them. Shapes (config,).

    It adds the stages up at their means, as normals: where they are very unsure, draws of the total
    lie more of such sds away than of their own.
    """
    amounts = times * np.exp(logs.mean(axis=2))
    total = amounts.sum(axis=0)
    shares, variances = amounts / total, logs.var(axis=2)
    variance = np.sum(shares**2 * variances, axis=0)
    lift = 0.5 * (np.sum(shares * variances, axis=0) - variance)
    return np.log(total) + lift, np.sqrt(variance)


def _reach(
    first: int, lowest: NDArray[np.float64], highest: NDArray[np.float64]
) -> tuple[int, float, float]:
    """Return the reach of the others; never less than none."""
    return first, max(float(-lowest.min()), 0.0), max(float(highest.max()), 0.0)
