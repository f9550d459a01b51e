"""What measurements will buy: the error and the width to expect after each of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bayeslat.decisions.suggest.estimate import first_estimate
from bayeslat.decisions.suggest.problem import DesignProblem

__all__ = ["LEAST_GAIN", "Outlook", "look_ahead"]

LEAST_GAIN = 0.01
"""Of the error that is left: a measurement that takes less off it does not pay."""
_Z = 1.6448536269514722  # of the 95 % quantile


@dataclass(frozen=True, eq=False)
class Outlook:
    """Expectations before the first measurement, and after each.

    Attributes
    ----------
    mape : ndarray, shape (rank + 1,)
        Of the total of a typical run: 0.03 is 3 %. For normal log totals, root(2 / pi) times how
        far the estimate is off.
    width_90 : ndarray, shape (rank + 1,)
        Of the 90 % interval of one further measured run, over its median.
    sd : ndarray, shape (rank + 1,)
        Of the log total of a typical run round its estimate: mean over the problem's points, by
        their weights. It is that of the coefficients and of what is the configuration's own, with
        what they have in common: measured neighbours have drawn the coefficients towards it.
    """

    mape: NDArray[np.float64]
    width_90: NDArray[np.float64]
    sd: NDArray[np.float64]

    @property
    def gain(self) -> NDArray[np.float64]:
        """What each measurement takes off `sd`. Shape (rank,)."""
        return -np.diff(self.sd)

    @property
    def stops_paying_at(self) -> int | None:
        """The rank from which on none lowers the error by 1 % of itself; None if the last does."""
        taken = -np.diff(self.mape)
        worth = (taken > 0) & (taken >= LEAST_GAIN * self.mape[:-1])
        last = int(np.flatnonzero(worth)[-1]) + 1 if worth.any() else 0
        return None if last == len(worth) else last + 1


def look_ahead(
    problem: DesignProblem, chosen: NDArray[np.int64], evenly: NDArray[np.int64]
) -> Outlook:
    """Work out the expectations for a batch, whichever method chose it.

    Parameters
    ----------
    problem : DesignProblem
    chosen : ndarray of int, shape (rank,)
        Candidates in the order of their measurement.
    evenly : ndarray of int, shape (point,)
        Candidates to average error and width over, with equal weights.

    Returns
    -------
    Outlook
    """
    every = np.union1d(problem.points, evenly)
    off, believed = _variances(problem, chosen, every)
    sd = np.sqrt(off)
    at, even = np.searchsorted(every, problem.points), np.searchsorted(every, evenly)
    half = _Z * np.sqrt(believed[:, even] + problem.run_variance[evenly])
    return Outlook(
        mape=np.sqrt(2.0 / np.pi) * sd[:, even].mean(axis=1),
        width_90=np.mean(2.0 * np.sinh(np.minimum(half, 50.0)), axis=1),
        sd=sd[:, at] @ problem.weights,
    )


def _variances(
    problem: DesignProblem, chosen: NDArray[np.int64], points: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Of the log total at some candidates, before and after each rank.

    Returns
    -------
    off : ndarray, shape (rank + 1, point)
        Of a typical run round its estimate.
    believed : ndarray, shape (rank + 1, point)
        Of the estimate, as calibration will have it.
    """
    off = np.tile(problem.own_variance[points], (len(chosen) + 1, 1))
    believed = np.zeros_like(off)
    for stage in problem.stages:
        square = stage.share[points] ** 2
        beyond, estimate = stage.beyond_sd[points] ** 2, first_estimate(stage)
        for rank in range(len(chosen) + 1):
            if rank:
                estimate = estimate.after(int(chosen[rank - 1]))
            off[rank] += square * (estimate.excess(points) + beyond)
            believed[rank] += square * (estimate.believed_variance(points) + beyond)
    return np.maximum(off, 0.0), believed
