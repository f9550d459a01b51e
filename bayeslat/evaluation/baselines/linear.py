"""Source model `linear`: log latency is linear in the features, a power law in the knobs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bayeslat.evaluation.baselines.curves import Curve

__all__ = ["Linear", "LinearCurve"]

type Values = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class LinearCurve:
    """A line.

    Attributes
    ----------
    slopes : ndarray, shape (feature,)
    intercept : float
    """

    slopes: Values
    intercept: float

    def __call__(self, features: Values) -> Values:
        """Predict log latency. Shapes (config, feature) to (config,)."""
        predicted: Values = features @ self.slopes + self.intercept
        return predicted


@dataclass(frozen=True)
class Linear:
    """Ordinary least squares; of features that go together, the smallest slopes."""

    def fit(self, features: Values, log_ms: Values, *, seed: int) -> Curve:
        """Fit. Shapes (row, feature) and (row,)."""
        centre, mean = features.mean(axis=0), float(log_ms.mean())
        slopes = np.linalg.lstsq(features - centre, log_ms - mean, rcond=1e-6)[0]
        return LinearCurve(slopes, mean - float(centre @ slopes))
