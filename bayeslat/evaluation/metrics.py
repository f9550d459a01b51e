"""Scores of predictions against measurements. What was not measured (NaN) does not count."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "bias",
    "coverage",
    "crps",
    "interval_width",
    "mae",
    "mape",
    "mean_measured",
    "p95_absolute_error",
    "pit",
]

type Values = NDArray[np.float64]


def mape(point: Values, measured: Values) -> float:
    """Mean absolute error over the measured latency, as a fraction: 0.01 is 1 %.

    Parameters
    ----------
    point, measured : ndarray, shape (config,)
        In the same unit.

    Returns
    -------
    float
        NaN when nothing was measured.
    """
    return mean_measured(np.abs(point - measured) / measured)


def mae(point: Values, measured: Values) -> float:
    """Mean absolute error, in the unit of the latencies. Shapes (config,)."""
    return mean_measured(np.abs(point - measured))


def p95_absolute_error(point: Values, measured: Values) -> float:
    """95 % quantile of the absolute error, in the unit of the latencies. Shapes (config,)."""
    error = np.abs(point - measured)
    held = error[~np.isnan(error)]
    return float(np.quantile(held, 0.95)) if len(held) else float("nan")


def bias(middle: Values, measured: Values) -> float:
    """Median of middle / measured - 1: 0.05 says 5 % too slow. Shapes (config,)."""
    ratio = middle / measured - 1.0
    held = ratio[~np.isnan(ratio)]
    return float(np.median(held)) if len(held) else float("nan")


def coverage(low: Values, high: Values, measured: Values) -> float:
    """Part of the measurements inside their interval, ends included. Shapes (config,)."""
    held = ~np.isnan(measured)
    inside = (low <= measured) & (measured <= high)
    return float(inside[held].mean()) if held.any() else float("nan")


def interval_width(low: Values, high: Values, middle: Values | None = None) -> float:
    """Median width of the intervals, over their middles if given. Shapes (config,)."""
    width = high - low
    return float(np.median(width if middle is None else width / middle))


def crps(draws: Values, measured: Values) -> Values:
    """Continuous ranked probability score of each config, in the unit of the latencies.

    E|X - y| - E|X - X'| / 2 with the second mean over distinct pairs of draws, which is unbiased
    for the score of the distribution behind them (Gneiting and Raftery 2007, eq. 21; Ferro 2014).

    Parameters
    ----------
    draws : ndarray, shape (config, draw)
    measured : ndarray, shape (config,)

    Returns
    -------
    ndarray, shape (config,)
        NaN where nothing was measured.
    """
    count = draws.shape[1]
    ordered = np.sort(draws, axis=1)
    # Sum over pairs of |x_i - x_j|, from the ranks.
    rank = 2.0 * np.arange(count) - (count - 1)
    spread = (ordered @ rank) / (count * (count - 1) / 2)
    score: Values = np.abs(draws - measured[:, None]).mean(axis=1) - 0.5 * spread
    return score


def pit(
    draws: Values, measured: Values, *, resolution_ms: float | None = None, seed: int = 0
) -> Values:
    """Part of the draws below each measurement: uniform when predictions are calibrated.

    Where measurements were rounded, so are the draws, and a measurement's place among its equals is
    drawn at random (Czado, Gneiting and Held 2009, section 2): else rounding alone would be taken
    for a miscalibration.

    Parameters
    ----------
    draws : ndarray, shape (config, draw)
    measured : ndarray, shape (config,)
    resolution_ms : float, optional
        What measurements were rounded to.
    seed : int
        Of the places among equals.

    Returns
    -------
    ndarray, shape (config,)
        In (0, 1); NaN where nothing was measured.
    """
    place = np.full(len(measured), 0.5)
    equal = np.zeros(len(measured))
    if resolution_ms is not None:
        draws, measured = np.rint(draws / resolution_ms), np.rint(measured / resolution_ms)
        equal = (draws == measured[:, None]).sum(axis=1)
        place = np.random.default_rng(seed).random(len(measured))
    below = (draws < measured[:, None]).sum(axis=1)
    place = (below + place * (equal + 1)) / (draws.shape[1] + 1)
    return np.where(np.isnan(measured), np.nan, place)


def mean_measured(values: Values) -> float:
    """Mean of what is not NaN; NaN when nothing was measured. Shape (config,)."""
    held = values[~np.isnan(values)]
    return float(held.mean()) if len(held) else float("nan")
