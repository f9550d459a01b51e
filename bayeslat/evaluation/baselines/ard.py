"""Bayesian regression with automatic relevance determination: what method `hfd_tl_ard` fits with.

Each coefficient has a normal prior of its own width, and the widths maximise the evidence, so that
features which explain nothing are switched off (MacKay 1994; Tipping 2001). By scikit-learn.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bayeslat.evaluation.baselines.libraries import require
from bayeslat.evaluation.baselines.linear import LinearCurve

__all__ = ["Ard"]

type Values = NDArray[np.float64]

_LEAST_ROWS = 3
"""With fewer rows, only the intercept is fitted."""


@dataclass(frozen=True)
class Ard:
    """Weighted, with an intercept that no prior shrinks; columns and target are standardised."""

    def fit(self, columns: Values, target: Values, weights: Values) -> LinearCurve:
        """Fit.

        Parameters
        ----------
        columns : ndarray, shape (row, column)
        target : ndarray, shape (row,)
        weights : ndarray, shape (row,)
            Of squared errors; above 0, and relative.

        Returns
        -------
        LinearCurve

        Raises
        ------
        InputError
            If scikit-learn is not installed.
        """
        regression = require("sklearn.linear_model").ARDRegression(fit_intercept=False)
        share = weights / weights.sum()
        root = np.sqrt(share * len(share))[:, None]
        column_mean, target_mean = share @ columns, float(share @ target)
        design, response = (columns - column_mean) * root, (target - target_mean) * root[:, 0]
        sd, target_sd = design.std(axis=0), float(response.std())
        varied = sd > 1e-12 * np.maximum(np.abs(columns).max(axis=0), 1.0)
        slopes = np.zeros(columns.shape[1])
        if len(target) >= _LEAST_ROWS and varied.any() and target_sd > 0.0:
            regression.fit(design[:, varied] / sd[varied], response / target_sd)
            slopes[varied] = regression.coef_ * target_sd / sd[varied]
        return LinearCurve(slopes, target_mean - float(column_mean @ slopes))
