"""Fitting how the noise depends on the configuration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from bayeslat.features.noise_shape import NoiseShape

__all__ = ["fit_noise_shape"]

_SLOPE_SD = 0.3  # prior: the noise changes by a third from the middle of a range to its edge
_DOF = 4.0
_NO_NOISE = 1e-9  # log latency: rows that are all alike have no shape
_FEWEST_ROWS = 10  # of a group, to say something about its noise


@dataclass(frozen=True)
class _Group:
    """A group's errors without their typical size, and the noise columns round their mean."""

    error: NDArray[np.float64]  # shape: (row,)
    columns: NDArray[np.float64]  # shape: (row, noise_column)
    weights: NDArray[np.float64]  # shape: (row,)


def fit_noise_shape(
    errors: Sequence[NDArray[np.float64]],
    columns: Sequence[NDArray[np.float64]],
    weights: Sequence[NDArray[np.float64]],
) -> NoiseShape:
    """Fit log sd = a_group + slopes' (psi - centre), with slopes that all groups share.

    The mode under Student-t4 errors and Normal(0, 0.3) slopes: a scale regression (Harvey 1976),
    made robust.

    Parameters
    ----------
    errors : sequence over group of ndarray, shape (row,)
        Residuals of a pilot fit, corrected for their leverage.
    columns : sequence over group of ndarray, shape (row, noise_column)
    weights : sequence over group of ndarray, shape (row,)
        How many rows a row counts for.

    Returns
    -------
    NoiseShape
        Flat where no group has ten rows with noise.
    """
    size = columns[0].shape[1]
    live = [
        g
        for g, error in enumerate(errors)
        if weights[g].sum() >= _FEWEST_ROWS and _typical(error) > _NO_NOISE
    ]
    if not live or not size:
        return NoiseShape(np.zeros(size), np.zeros(size))
    centre = np.average(
        np.concatenate([columns[g] for g in live]),
        axis=0,
        weights=np.concatenate([weights[g] for g in live]),
    )
    groups = [
        _Group(errors[g] / _typical(errors[g]), columns[g] - centre, weights[g]) for g in live
    ]
    start = np.zeros(len(groups) + size)
    found = minimize(_objective, start, args=(groups,), jac=True, method="L-BFGS-B")
    return NoiseShape(found.x[len(groups) :], centre)


def _typical(error: NDArray[np.float64]) -> float:
    """Middle size of errors, to start from."""
    return float(np.median(np.abs(error)))


def _objective(
    point: NDArray[np.float64], groups: Sequence[_Group]
) -> tuple[float, NDArray[np.float64]]:
    """Minus the log posterior of levels (group,) and slopes (noise_column,), and its gradient."""
    levels, slopes = point[: len(groups)], point[len(groups) :]
    value = 0.5 * np.sum((slopes / _SLOPE_SD) ** 2)
    of_levels, of_slopes = np.zeros(len(groups)), slopes / _SLOPE_SD**2
    for g, group in enumerate(groups):
        log_sd = levels[g] + group.columns @ slopes
        square = group.error**2 * np.exp(-2.0 * log_sd)
        value += group.weights @ (log_sd + 0.5 * (_DOF + 1) * np.log1p(square / _DOF))
        pull = group.weights * (1.0 - (_DOF + 1) * square / (_DOF + square))
        of_levels[g] = pull.sum()
        of_slopes = of_slopes + pull @ group.columns
    return value, np.concatenate([of_levels, of_slopes])
