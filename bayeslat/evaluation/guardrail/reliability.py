"""Whether p_exceed is what happens, and whether the predictive distribution is."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.signal import convolve
from scipy.stats import binom

__all__ = ["pit_histogram", "reliability"]

_TAILS = (0.025, 0.975)
_FEW = 64  # configs, which are convolved one by one


def reliability(
    p_exceed: NDArray[np.float64], over: NDArray[np.bool_], bins: int = 10
) -> pd.DataFrame:
    """Compare p_exceed with how often budgets were exceeded.

    Parameters
    ----------
    p_exceed : ndarray, shape (config,)
    over : ndarray of bool, shape (config,)
    bins : int
        Of equal width.

    Returns
    -------
    DataFrame, one row a bin that holds configs
        `low`, `high` (edges), `configs`, `predicted` (mean p_exceed), `observed` (part over),
        `expected_low`, `expected_high` (95 % interval of the observed part if each p_exceed is
        right: Poisson's binomial distribution of the count, for independent configs), `inside`.
    """
    place = np.minimum((p_exceed * bins).astype(int), bins - 1)
    rows = []
    for number in np.unique(place):
        held = place == number
        low, high = _expected(p_exceed[held])
        observed = float(over[held].mean())
        rows.append(
            {
                "low": number / bins,
                "high": (number + 1) / bins,
                "configs": int(held.sum()),
                "predicted": float(p_exceed[held].mean()),
                "observed": observed,
                "expected_low": low,
                "expected_high": high,
                "inside": low <= observed <= high,
            }
        )
    return pd.DataFrame(rows)


def _expected(p_exceed: NDArray[np.float64]) -> tuple[float, float]:
    """95 % interval of the part over, if each chance is right."""
    below = np.cumsum(_count_chances(p_exceed))
    low, high = np.searchsorted(below, _TAILS) / len(p_exceed)
    return float(low), float(high)


def _count_chances(p_exceed: NDArray[np.float64]) -> NDArray[np.float64]:
    """Chance of 0, 1, ... configs over: Poisson's binomial distribution. Shape (config + 1,).

    SciPy's takes minutes for the thousands of configs of a bin: here halves are convolved.
    """
    if len(p_exceed) <= _FEW:
        few = np.ones(1)
        for chance in p_exceed:
            few = np.convolve(few, [1.0 - chance, chance])
        return few
    middle = len(p_exceed) // 2
    halves = _count_chances(p_exceed[:middle]), _count_chances(p_exceed[middle:])
    chances: NDArray[np.float64] = convolve(*halves)
    return chances


def pit_histogram(pit: NDArray[np.float64], bins: int = 10) -> pd.DataFrame:
    """Count probability integral transforms: as many in each bin, if predictions are calibrated.

    Parameters
    ----------
    pit : ndarray, shape (config,)
        Of `evaluation.metrics.pit`; what was not measured (NaN) does not count.
    bins : int

    Returns
    -------
    DataFrame, one row a bin
        `low`, `high` (edges), `share` (of the configs), `expected_low`, `expected_high` (95 %
        interval of the share of a uniform PIT, for independent configs).
    """
    held = pit[~np.isnan(pit)]
    counts, edges = np.histogram(held, bins=bins, range=(0.0, 1.0))
    low, high = binom.ppf(_TAILS, max(len(held), 1), 1.0 / bins) / max(len(held), 1)
    return pd.DataFrame(
        {
            "low": edges[:-1],
            "high": edges[1:],
            "share": counts / max(len(held), 1),
            "expected_low": low,
            "expected_high": high,
        }
    )
