"""The pilot fit: ridge regression under Student-t noise, which finds outliers and misfit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

__all__ = ["Pilot", "fit_pilot"]

_MIN_SD = 1e-6  # log latency; keeps a group of identical rows finite


@dataclass(frozen=True)
class Pilot:
    """One group's pilot fit, in log latency.

    Attributes
    ----------
    fitted, residual : ndarray, shape (row,)
    leverage : ndarray, shape (row,)
        How much of a row's own error its fitted value follows, 0 to 1.
    sd : float
        Scale of the Student-t.
    log_likelihood : float
    """

    fitted: NDArray[np.float64]
    residual: NDArray[np.float64]
    leverage: NDArray[np.float64]
    sd: float
    log_likelihood: float

    def pseudo_values(self, dof: float) -> NDArray[np.float64]:
        """Fitted values plus psi(residual) / E[psi'], for a Student-t of that many dof."""
        if np.isinf(dof):
            return self.fitted + self.residual
        weight = (dof + 1) / (dof + (self.residual / self.sd) ** 2)
        return self.fitted + weight * self.residual * (dof + 3) / (dof + 1)


def fit_pilot(
    design: NDArray[np.float64],
    response: NDArray[np.float64],
    weights: NDArray[np.float64],
    prior_sd: NDArray[np.float64],
    dof: float,
) -> Pilot:
    """Fit one group by reweighted least squares (EM: Lange, Little and Taylor 1989, section 3).

    Parameters
    ----------
    design : ndarray, shape (row, feature)
    response : ndarray, shape (row,)
    weights : ndarray, shape (row,)
        How many rows a row counts for.
    prior_sd : ndarray, shape (feature,)
        Sd of each effect round zero.
    dof : float
        Degrees of freedom of the noise; infinite for normal noise.

    Returns
    -------
    Pilot
    """
    rows = float(weights.sum())
    if not len(response):
        return Pilot(response, response, response, 1.0, 0.0)
    sd = 0.05
    both = weights
    for _ in range(50):
        gram = (design.T * both) @ design
        inverse = np.linalg.inv(gram + np.diag((sd / prior_sd) ** 2))
        effect = inverse @ (design.T @ (both * response))
        residual = response - design @ effect
        free = max(rows - np.sum(inverse * gram), 0.2 * rows)
        new = max(float(np.sqrt(np.sum(both * residual**2) / free)), _MIN_SD)
        done, sd = abs(new - sd) < 1e-3 * sd, new
        if np.isfinite(dof):
            both = weights * (dof + 1) / (dof + (residual / sd) ** 2)
        if done:
            break
    leverage = both * np.einsum("ij,jk,ik->i", design, inverse, design)
    density = _log_density(residual / sd, dof) - np.log(sd)
    return Pilot(design @ effect, residual, leverage, sd, float(weights @ density))


def _log_density(standard: NDArray[np.float64], dof: float) -> NDArray[np.float64]:
    """Log density of standardised residuals under a Student-t. Shape (row,)."""
    if np.isinf(dof):
        normal: NDArray[np.float64] = -0.5 * (standard**2 + np.log(2 * np.pi))
        return normal
    constant = gammaln((dof + 1) / 2) - gammaln(dof / 2) - 0.5 * np.log(dof * np.pi)
    heavy: NDArray[np.float64] = constant - 0.5 * (dof + 1) * np.log1p(standard**2 / dof)
    return heavy
