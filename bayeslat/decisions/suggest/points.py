"""The candidates over which uncertainty is averaged: all alike, or those near a budget."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["POINTS", "choose_points", "count_near", "density_at"]

POINTS = 256
"""At most; the error of an average over so many is far below what the model knows."""
_NEAR = 3.0  # sds of a run's log total


def choose_points(
    weight: NDArray[np.float64], most: int, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Choose candidates in proportion to their weight, systematically (Kitagawa 1996).

    Parameters
    ----------
    weight : ndarray, shape (candidate,)
        Not negative, and not all zero.
    most : int
    rng : Generator

    Returns
    -------
    positions : ndarray of int, shape (point,)
        In order; all candidates if there are no more than `most`.
    weights : ndarray, shape (point,)
        Sum to 1; equal for equal candidates.
    """
    part = weight / weight.sum()
    if len(part) <= most:
        return np.arange(len(part)), part
    order = rng.permutation(len(part))  # candidates may come in the order of a grid
    places = (np.arange(most) + rng.random()) / most
    found = np.searchsorted(np.cumsum(part[order]), places).clip(0, len(part) - 1)
    positions, counts = np.unique(order[found], return_counts=True)
    return positions, counts / most


def density_at(
    budget_ms: float, log_total: NDArray[np.float64], variance: NDArray[np.float64]
) -> NDArray[np.float64]:
    """How likely each candidate's total is right at a budget, up to a constant.

    A decision can turn only where the total may lie on either side of the budget. For small
    uncertainty the expected number of wrong ones is proportional to this density, times the sd.

    Parameters
    ----------
    budget_ms : float
    log_total : ndarray, shape (candidate,)
        Log of the expected total in ms.
    variance : ndarray, shape (candidate,)
        Of the log total of a run.

    Returns
    -------
    ndarray, shape (candidate,)
        Normal density at the log of the budget; 1 where it is largest.
    """
    logs = -0.5 * (np.log(budget_ms) - log_total) ** 2 / variance - 0.5 * np.log(variance)
    density: NDArray[np.float64] = np.exp(logs - logs.max())
    return density


def count_near(
    budget_ms: float, log_total: NDArray[np.float64], variance: NDArray[np.float64]
) -> int:
    """Count the candidates whose total may lie on either side of a budget: within three sds of it.

    Parameters
    ----------
    budget_ms, log_total, variance
        As `density_at` takes them.
    """
    return int(np.sum((np.log(budget_ms) - log_total) ** 2 <= _NEAR**2 * variance))
