"""False accepts against false rejects, over all thresholds of a score."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

__all__ = ["OperatingCurve", "curve_band", "operating_curve"]

type Values = NDArray[np.float64]

_RESAMPLES = 200
_BAND = (0.05, 0.95)


@dataclass(frozen=True, eq=False)
class OperatingCurve:
    """What a rule "accept if score <= threshold" does, for every threshold.

    Attributes
    ----------
    threshold : ndarray, shape (step,)
        Ascending; the first accepts nothing.
    false_reject : ndarray, shape (step,)
        Part of the configs within the budget that are rejected; from 1 down to 0.
    false_accept : ndarray, shape (step,)
        Part of the configs over the budget that are accepted; from 0 up to 1.
    area : float
        Under true accepts against false accepts: the chance that a config over the budget has a
        higher score than one within it (Hanley and McNeil 1982). NaN if all are on one side.
    """

    threshold: Values
    false_reject: Values
    false_accept: Values
    area: float

    def false_accept_at(self, false_reject: Values) -> Values:
        """Return the false accepts where so many are rejected falsely. Shapes (point,).

        Between two steps, the mixture of both rules.
        """
        # Along the curve false rejects fall, so that `interp` wants it backwards. Where they stay
        # while false accepts rise, it takes the last: the least false accepts.
        return np.interp(false_reject, self.false_reject[::-1], self.false_accept[::-1])

    def at(self, threshold: float) -> tuple[float, float]:
        """Return false rejects and false accepts of one threshold."""
        step = int(np.searchsorted(self.threshold, threshold, side="right")) - 1
        step = max(step, 0)
        return float(self.false_reject[step]), float(self.false_accept[step])


def operating_curve(
    score: Values, over: NDArray[np.bool_], weight: Values | None = None
) -> OperatingCurve:
    """Trace the curve of a score.

    Parameters
    ----------
    score : ndarray, shape (config,)
        Higher for what had better be rejected: p_exceed, or a predicted latency over the budget.
    over : ndarray of bool, shape (config,)
        Whether the budget was exceeded.
    weight : ndarray, shape (config,), optional
        How often each config counts; once by default.

    Returns
    -------
    OperatingCurve
    """
    weight = np.ones(len(score)) if weight is None else weight
    order = np.argsort(score, kind="stable")
    ordered = score[order]
    ends = (
        np.flatnonzero(np.append(np.diff(ordered) > 0, True)) if len(score) else np.array([], int)
    )
    bad = np.cumsum(weight[order] * over[order])[ends]
    good = np.cumsum(weight[order] * ~over[order])[ends]
    total_bad, total_good = float(weight[over].sum()), float(weight[~over].sum())
    with np.errstate(invalid="ignore", divide="ignore"):
        accept = np.concatenate([[0.0], bad]) / total_bad
        reject = 1.0 - np.concatenate([[0.0], good]) / total_good
    area = float(np.trapezoid(1.0 - reject, accept)) if total_bad and total_good else float("nan")
    threshold = np.concatenate([[-np.inf], ordered[ends]])
    return OperatingCurve(threshold, reject, accept, area)


def curve_band(
    score: Values,
    over: NDArray[np.bool_],
    config: NDArray[np.int64],
    at: Values,
    seed: int | list[int] = 0,
) -> pd.DataFrame:
    """Return how far the curve could be elsewhere by the choice of configurations.

    A bootstrap over configurations (Efron 1979): all rows of one are drawn together.

    Parameters
    ----------
    score, over
        As `operating_curve` takes them.
    config : ndarray of int, shape (config,)
        Which configuration a row is of: 0, 1, ...
    at : ndarray, shape (point,)
        False rejects.
    seed : int or list of int

    Returns
    -------
    DataFrame, one row a point
        `false_reject`, `false_accept_low` and `false_accept_high`: 5 % and 95 % quantile.
    """
    rng = np.random.default_rng(seed)
    count = int(config.max()) + 1
    drawn = []
    for _ in range(_RESAMPLES):
        times = np.bincount(rng.integers(count, size=count), minlength=count)[config]
        if times[over].any() and times[~over].any():
            curve = operating_curve(score, over, times.astype(float))
            drawn.append(curve.false_accept_at(at))
    low, high = np.quantile(drawn, _BAND, axis=0) if drawn else np.full((2, len(at)), np.nan)
    return pd.DataFrame({"false_reject": at, "false_accept_low": low, "false_accept_high": high})
