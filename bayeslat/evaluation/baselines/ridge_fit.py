"""Ridge regression in closed form, with its penalty chosen by leaving each row out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["RidgeFit", "fit_ridge"]

type Values = NDArray[np.float64]

_LEAST_FREEDOM = 1e-3
"""Least 1 - leverage that a left-out residual is divided by: interpolation proves nothing."""


@dataclass(frozen=True, eq=False)
class RidgeFit:
    """A fitted linear regression.

    Attributes
    ----------
    coefficients : ndarray, shape (column,)
    intercept : float
    alpha : float
        The penalty that was chosen.
    residuals, leverage : ndarray, shape (row,)
        Of the fitted rows.
    """

    coefficients: Values
    intercept: float
    alpha: float
    residuals: Values
    leverage: Values

    def __call__(self, features: Values) -> Values:
        """Predict. Shapes (config, column) to (config,)."""
        predicted: Values = features @ self.coefficients + self.intercept
        return predicted


def fit_ridge(
    columns: Values, target: Values, alphas: Iterable[float], weights: Values | None = None
) -> RidgeFit:
    """Minimise sum w (y - X b - c)^2 + alpha |b|^2; the intercept c is not penalised.

    The alpha with the least (weighted) mean square of left-out residuals wins, the first of equal
    ones. These are closed form: residual / (1 - leverage) (Golub, Heath and Wahba 1979).

    Parameters
    ----------
    columns : ndarray, shape (row, column)
    target : ndarray, shape (row,)
    alphas : iterable of float
        Above 0.
    weights : ndarray, shape (row,), optional
        Not negative, and relative: they are scaled to a mean of 1. One each by default.

    Returns
    -------
    RidgeFit
    """
    weight = np.ones(len(target)) if weights is None else weights / weights.mean()
    share, root = weight / weight.sum(), np.sqrt(weight)
    column_mean, target_mean = share @ columns, float(share @ target)
    centred = (columns - column_mean) * root[:, None]
    told = np.ptp(columns, axis=0) > 0.0  # powers of knobs that a server keeps are most columns
    u, values, v = np.linalg.svd(centred[:, told], full_matrices=False)
    rotated = u.T @ ((target - target_mean) * root)
    found: list[tuple[float, RidgeFit]] = []
    for alpha in alphas:
        kept = values**2 / (values**2 + alpha)
        coefficients = np.zeros(columns.shape[1])
        coefficients[told] = v.T @ (values / (values**2 + alpha) * rotated)
        intercept = target_mean - float(column_mean @ coefficients)
        residuals = target - columns @ coefficients - intercept
        leverage = share + u**2 @ kept
        left_out = residuals / np.maximum(1.0 - leverage, _LEAST_FREEDOM)
        fit = RidgeFit(coefficients, intercept, float(alpha), residuals, leverage)
        found.append((float(share @ left_out**2), fit))
    return min(found, key=lambda pair: pair[0])[1]
