"""Outliers: pseudo-values that let a Gaussian likelihood stand for a heavy-tailed one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from bayeslat.features.thinning import evenly

__all__ = ["RobustRows", "robustify"]

_DOF_GRID = (3.0, 4.0, 5.0, 7.0, 10.0, 20.0, 50.0, np.inf)
_ROWS_FOR_DOF = 2000  # of a group; the tails are plain to see in these
_MIN_SD = 1e-6  # log latency; keeps a group of identical rows finite


@dataclass(frozen=True)
class RobustRows:
    """Responses that least squares can take, and the tails of the noise that they came with.

    Attributes
    ----------
    response : tuple over group of ndarray, shape (config,)
        Pseudo-values: the pilot fit plus psi(residual) / E[psi'].
    dof : float
        Degrees of freedom of the Student-t noise; infinite when the rows look Gaussian.
    """

    response: tuple[NDArray[np.float64], ...]
    dof: float


def robustify(
    designs: Sequence[NDArray[np.float64]],
    responses: Sequence[NDArray[np.float64]],
    prior_sd: NDArray[np.float64],
) -> RobustRows:
    """Replace responses by Huber's pseudo-values under Student-t noise.

    Least squares on pseudo-values has the M-estimate as its solution and its asymptotic variance
    as its residual variance (Huber 1981, Robust Statistics, section 7.10), so sufficient
    statistics stay exact and outliers lose their pull. The tails are chosen by the profile
    likelihood over all groups (Lange, Little and Taylor 1989, section 2), on at most 2000 rows of
    each.

    Parameters
    ----------
    designs : sequence over group of ndarray, shape (config, feature)
    responses : sequence over group of ndarray, shape (config,)
    prior_sd : ndarray, shape (feature,)
        Sd of each effect round zero in the pilot fit, in log latency.

    Returns
    -------
    RobustRows
    """
    pairs = list(zip(designs, responses, strict=True))
    few = [(z[rows], y[rows]) for z, y in pairs for rows in [evenly(len(y), _ROWS_FOR_DOF)]]
    fits = {dof: [_pilot(z, y, prior_sd, dof) for z, y in few] for dof in _DOF_GRID}
    dof = max(fits, key=lambda each: sum(fit.log_likelihood for fit in fits[each]))
    pilots = [_pilot(z, y, prior_sd, dof) for z, y in pairs]
    return RobustRows(tuple(pilot.pseudo_values(dof) for pilot in pilots), dof)


@dataclass(frozen=True)
class _Pilot:
    """A group's pilot fit: fitted values, residuals and scale, all in log latency."""

    fitted: NDArray[np.float64]
    residual: NDArray[np.float64]
    sd: float
    log_likelihood: float

    def pseudo_values(self, dof: float) -> NDArray[np.float64]:
        """Fitted values plus psi(residual) / E[psi'], for a Student-t of that many dof."""
        if np.isinf(dof):
            return self.fitted + self.residual
        weight = (dof + 1) / (dof + (self.residual / self.sd) ** 2)
        return self.fitted + weight * self.residual * (dof + 3) / (dof + 1)


def _pilot(
    design: NDArray[np.float64],
    response: NDArray[np.float64],
    prior_sd: NDArray[np.float64],
    dof: float,
) -> _Pilot:
    """Ridge regression with Student-t noise by reweighting (EM), one group."""
    rows = len(response)
    if rows == 0:
        return _Pilot(response, response, 1.0, 0.0)
    sd, effect = 0.05, np.zeros(design.shape[1])
    weight = np.ones(rows)
    for _ in range(50):
        gram = (design.T * weight) @ design
        penalised = gram + np.diag((sd / prior_sd) ** 2)
        effect = np.linalg.solve(penalised, design.T @ (weight * response))
        residual = response - design @ effect
        fitted_rows = np.trace(np.linalg.solve(penalised, gram))
        free = max(rows - fitted_rows, 0.2 * rows)
        new = max(float(np.sqrt(np.sum(weight * residual**2) / free)), _MIN_SD)
        done, sd = abs(new - sd) < 1e-4 * sd, new
        if np.isfinite(dof):
            weight = (dof + 1) / (dof + (residual / sd) ** 2)
        if done:
            break
    return _Pilot(
        design @ effect, residual, sd, _log_likelihood(residual / sd, dof) - rows * np.log(sd)
    )


def _log_likelihood(standard: NDArray[np.float64], dof: float) -> float:
    """Log density of standardised residuals under a Student-t."""
    if np.isinf(dof):
        return float(-0.5 * np.sum(standard**2) - 0.5 * len(standard) * np.log(2 * np.pi))
    constant = gammaln((dof + 1) / 2) - gammaln(dof / 2) - 0.5 * np.log(dof * np.pi)
    return float(len(standard) * constant - 0.5 * (dof + 1) * np.sum(np.log1p(standard**2 / dof)))
