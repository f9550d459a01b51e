"""The numbers that people read off draws of a latency."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["QUANTILES", "summarise_draws"]

QUANTILES = {"q05": 0.05, "q25": 0.25, "q50": 0.50, "q75": 0.75, "q95": 0.95}
_NOTHING = 1e-200  # ms: what takes no time at all has a point, too


def summarise_draws(draws: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """Point, mean, sd and quantiles of each config's draws.

    The point minimises the expected relative error E|t - p| / t, the one that MAPE scores: the
    median of the draws weighted by 1 / t (Gneiting 2011, section 2.3). The mean of 1 / t is
    infinite when the lower tail of log t is heavy, so no weight exceeds that of the 5 % quantile.

    Parameters
    ----------
    draws : ndarray, shape (config, draw)
        In ms.

    Returns
    -------
    dict of str to ndarray, shape (config,)
        `point`, `mean`, `sd`, `q05`, `q25`, `q50`, `q75`, `q95`, in ms.
    """
    ordered = np.sort(draws, axis=1)
    count = ordered.shape[1]
    least = np.maximum(ordered[:, [round(QUANTILES["q05"] * (count - 1))]], _NOTHING)
    weight = np.cumsum(1 / np.maximum(ordered, least), axis=1)
    middle = np.argmax(weight >= 0.5 * weight[:, -1:], axis=1)
    summary = {
        "point": ordered[np.arange(len(ordered)), middle],
        "mean": ordered.mean(axis=1),
        "sd": ordered.std(axis=1),
    }
    for name, level in QUANTILES.items():
        place = level * count - 0.5  # draws stand for the middles of equally likely strata
        low = int(np.clip(np.floor(place), 0, count - 1))
        high = min(low + 1, count - 1)
        step = np.clip(place - low, 0.0, 1.0)
        summary[name] = ordered[:, low] + step * (ordered[:, high] - ordered[:, low])
    return summary
