"""The pilot fit: ridge regression under Student-t noise, which finds outliers and misfit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

__all__ = ["Pilot", "Pilots", "fit_pilot", "pseudo_values"]

_MIN_SD = 1e-6  # log latency; keeps a group of identical rows finite


@dataclass(frozen=True)
class Pilot:
    """One group's pilot fit, in log latency.

    Attributes
    ----------
    effect : ndarray, shape (feature,)
    fitted, residual : ndarray, shape (row,)
    leverage : ndarray, shape (row,)
        How much of a row's own error its fitted value follows, 0 to 1.
    sd : float
        Scale of the Student-t.
    log_likelihood : float
    """

    effect: NDArray[np.float64]
    fitted: NDArray[np.float64]
    residual: NDArray[np.float64]
    leverage: NDArray[np.float64]
    sd: float
    log_likelihood: float

    def pseudo_values(self, dof: float) -> NDArray[np.float64]:
        """Replace the responses by `pseudo_values`. Shape (row,)."""
        return pseudo_values(self.fitted, self.residual, self.sd, dof)


@dataclass(frozen=True, eq=False)
class Pilots:
    """What the pilot fits of all groups settle: round which centre outliers are calmed.

    Attributes
    ----------
    effect : ndarray, shape (group, feature)
    sd : ndarray, shape (group,)
        Scale of the Student-t, over the noise shape.
    weight : ndarray, shape (group,)
        How many rows a row counts for, on average: less than one where configurations repeat.
    """

    effect: NDArray[np.float64]
    sd: NDArray[np.float64]
    weight: NDArray[np.float64]


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
        return Pilot(np.zeros(len(prior_sd)), response, response, response, 1.0, 0.0)
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
    leverage = both * np.sum(design @ inverse * design, axis=1)
    density = _log_density(residual / sd, dof) - np.log(sd)
    return Pilot(effect, design @ effect, residual, leverage, sd, float(weights @ density))


def pseudo_values(
    fitted: NDArray[np.float64], residual: NDArray[np.float64], sd: float, dof: float
) -> NDArray[np.float64]:
    """Replace responses by Huber's pseudo-values under Student-t noise.

    Least squares on pseudo-values has the M-estimate as its solution and its asymptotic variance
    as its residual variance (Huber 1981, Robust Statistics, section 7.10), so sufficient statistics
    stay exact and outliers lose their pull.

    Parameters
    ----------
    fitted, residual : ndarray, shape (row,)
        Of a pilot fit, over the noise shape.
    sd : float
        Scale of its noise.
    dof : float

    Returns
    -------
    ndarray, shape (row,)
        Fitted values plus psi(residual) / E[psi'].
    """
    if np.isinf(dof):
        return fitted + residual
    weight = (dof + 1) / (dof + (residual / sd) ** 2)
    return fitted + weight * residual * (dof + 3) / (dof + 1)


def _log_density(standard: NDArray[np.float64], dof: float) -> NDArray[np.float64]:
    """Log density of standardised residuals under a Student-t. Shape (row,)."""
    if np.isinf(dof):
        normal: NDArray[np.float64] = -0.5 * (standard**2 + np.log(2 * np.pi))
        return normal
    constant = gammaln((dof + 1) / 2) - gammaln(dof / 2) - 0.5 * np.log(dof * np.pi)
    heavy: NDArray[np.float64] = constant - 0.5 * (dof + 1) * np.log1p(standard**2 / dof)
    return heavy
