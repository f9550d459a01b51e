"""What measurements will buy: the error and the width to expect after each of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bayeslat.decisions.suggest.problem import DesignProblem, StageDesign

__all__ = ["LEAST_GAIN", "Outlook", "look_ahead"]

LEAST_GAIN = 0.01
"""Of the error that is left: a measurement that takes less off it does not pay."""
_Z = 1.6448536269514722  # of the 95 % quantile


@dataclass(frozen=True)
class Outlook:
    """Expectations before the first measurement, and after each.

    Attributes
    ----------
    mape : ndarray, shape (rank + 1,)
        Of the total of a typical run: 0.03 is 3 %. For normal log totals, root(2 / pi) x sd, by
        `sd` and by that part of the noise which is the configuration's own.
    width_90 : ndarray, shape (rank + 1,)
        Of the 90 % interval of one further measured run, over its median.
    sd : ndarray, shape (rank + 1,)
        Of the log total of a typical run, by the coefficients: mean over the problem's points, by
        their weights.
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
    weighted = np.sqrt(_total_variance(problem, chosen, problem.points))
    variance = (
        _total_variance(problem, chosen, evenly) if evenly is not problem.points else weighted**2
    )
    half = _Z * np.sqrt(variance + problem.run_variance[evenly])
    return Outlook(
        mape=np.sqrt(2.0 / np.pi) * np.sqrt(variance + problem.own_variance[evenly]).mean(axis=1),
        width_90=np.mean(2.0 * np.sinh(np.minimum(half, 50.0)), axis=1),
        sd=weighted @ problem.weights,
    )


def _total_variance(
    problem: DesignProblem, chosen: NDArray[np.int64], points: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Of a typical run's log total, before and after each rank. Shape (rank + 1, point)."""
    parts = [
        stage.share[points] ** 2
        * (_stage_variance(stage, chosen, points) + stage.beyond_sd[points] ** 2)
        for stage in problem.stages
    ]
    total: NDArray[np.float64] = np.sum(parts, axis=0)
    return total


def _stage_variance(
    stage: StageDesign, chosen: NDArray[np.int64], points: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Of `design @ effects`, before and after each rank. Shape (rank + 1, point).

    With the scatter of the measurements K = L L', rank k takes the square of row k of
    L^-1 Z_chosen C Z_points' off the variance.
    """
    rows, at = stage.measuring, stage.design[points]
    before = np.sum(at @ stage.covariance * at, axis=1)
    pulled = rows.design[chosen] @ stage.covariance
    blur = rows.blur(chosen, chosen)
    np.fill_diagonal(blur, rows.blur_sd[chosen] ** 2)
    scatter = pulled @ rows.design[chosen].T + blur
    taken = np.linalg.solve(np.linalg.cholesky(scatter), pulled @ at.T) ** 2
    left = before - np.concatenate([np.zeros((1, len(at))), np.cumsum(taken, axis=0)])
    variance: NDArray[np.float64] = np.maximum(left, 0.0)
    return variance
