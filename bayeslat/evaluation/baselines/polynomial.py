"""Source model `polynomial`: a cubic in the features, by ridge, for the log of latency."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bayeslat.evaluation.baselines.curves import Curve
from bayeslat.evaluation.baselines.monomials import monomials
from bayeslat.evaluation.baselines.ridge_fit import RidgeFit, fit_ridge

__all__ = ["SOURCE_POLYNOMIAL", "Polynomial", "PolynomialCurve"]

type Values = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class PolynomialCurve:
    """A fitted polynomial.

    Attributes
    ----------
    degree : int
    fit : RidgeFit
        On its monomials.
    """

    degree: int
    fit: RidgeFit

    def __call__(self, features: Values) -> Values:
        """Predict log latency. Shapes (config, feature) to (config,)."""
        return self.fit(monomials(features, self.degree))


@dataclass(frozen=True)
class Polynomial:
    """Ridge on all monomials up to a degree; leaving rows out chooses its penalty.

    Attributes
    ----------
    degree : int
    alphas : tuple of float
        Penalties to choose from.
    """

    degree: int
    alphas: tuple[float, ...]

    def fit(self, features: Values, log_ms: Values, *, seed: int) -> Curve:
        """Fit. Shapes (row, feature) and (row,)."""
        return PolynomialCurve(
            self.degree, fit_ridge(monomials(features, self.degree), log_ms, self.alphas)
        )


SOURCE_POLYNOMIAL = Polynomial(degree=3, alphas=tuple(np.logspace(-3, 2, 21).tolist()))
"""For the hundreds of rows of a source."""
