"""Logistic regression under Gaussian priors: modes, curvature and evidence."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

__all__ = ["LogisticModes", "logistic_modes"]

_STEPS = 100
_ENOUGH = 1e-8  # of the Newton decrement
_HALVINGS = 30


@dataclass(frozen=True)
class LogisticModes:
    """Laplace's approximation of several posteriors of one regression.

    Attributes
    ----------
    mode : ndarray, shape (prior, column)
    precision : ndarray, shape (prior, column, column)
        Of the normal distribution round each mode: minus the curvature there.
    log_evidence : ndarray, shape (prior,)
        Log of the marginal likelihood (Tierney and Kadane 1986, equation 2.1).
    """

    mode: NDArray[np.float64]
    precision: NDArray[np.float64]
    log_evidence: NDArray[np.float64]

    def draw(self, chosen: NDArray[np.int64], normals: NDArray[np.float64]) -> NDArray[np.float64]:
        """Draw coefficients from the approximations.

        Parameters
        ----------
        chosen : ndarray of int, shape (draw,)
            The prior of each draw.
        normals : ndarray, shape (draw, column)
            Standard ones.

        Returns
        -------
        ndarray, shape (draw, column)
        """
        upper = np.swapaxes(np.linalg.cholesky(self.precision), 1, 2)
        root = np.linalg.inv(upper)  # root root' is the covariance
        drawn: NDArray[np.float64] = self.mode[chosen] + np.einsum(
            "dij,dj->di", root[chosen], normals
        )
        return drawn


def logistic_modes(
    design: NDArray[np.float64],
    outcome: NDArray[np.float64],
    mean: NDArray[np.float64],
    precision: NDArray[np.float64],
) -> LogisticModes:
    """Find the mode of a logistic regression under each of several Gaussian priors.

    Newton's method with halved steps: with a proper prior the log density is strictly concave, and
    its mode is finite even where the outcomes can be told apart without error.

    Parameters
    ----------
    design : ndarray, shape (row, column)
    outcome : ndarray, shape (row,)
        0 or 1.
    mean : ndarray, shape (prior, column)
    precision : ndarray, shape (prior, column, column)

    Returns
    -------
    LogisticModes
    """
    mode = mean.copy()
    value = _log_density(design, outcome, mode, mean, precision)
    for _ in range(_STEPS):
        slope, curvature = _derivatives(design, outcome, mode, mean, precision)
        step = np.linalg.solve(curvature, slope[..., None])[..., 0]
        if np.max(np.einsum("di,di->d", slope, step)) < _ENOUGH:
            break
        length = np.ones(len(mode))
        for _ in range(_HALVINGS):
            moved = mode + length[:, None] * step
            new = _log_density(design, outcome, moved, mean, precision)
            worse = new < value
            if not worse.any():
                break
            length[worse] /= 2.0
        better = new >= value
        mode = np.where(better[:, None], moved, mode)
        value = np.where(better, new, value)
    curvature = _derivatives(design, outcome, mode, mean, precision)[1]
    size = np.linalg.slogdet(precision)[1] - np.linalg.slogdet(curvature)[1]
    return LogisticModes(mode, curvature, value + 0.5 * size)


def _log_density(
    design: NDArray[np.float64],
    outcome: NDArray[np.float64],
    at: NDArray[np.float64],
    mean: NDArray[np.float64],
    precision: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Log likelihood and prior, up to what the precision adds. Shape (prior,)."""
    logit = at @ design.T
    fit = logit @ outcome - np.logaddexp(0.0, logit).sum(axis=1)
    off = at - mean
    density: NDArray[np.float64] = fit - 0.5 * np.einsum("di,dij,dj->d", off, precision, off)
    return density


def _derivatives(
    design: NDArray[np.float64],
    outcome: NDArray[np.float64],
    at: NDArray[np.float64],
    mean: NDArray[np.float64],
    precision: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Gradient of the log density and minus its Hessian. Shapes (prior, column[, column])."""
    chance = expit(at @ design.T)
    slope = (outcome - chance) @ design - np.einsum("dij,dj->di", precision, at - mean)
    weight = chance * (1.0 - chance)
    curvature = np.stack([(design.T * each) @ design for each in weight]) + precision
    return slope, curvature
