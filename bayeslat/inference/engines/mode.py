"""The mode of the scales and the curvature there: where both engines start."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import OptimizeResult, minimize

from bayeslat.errors import ConvergenceError
from bayeslat.inference.engines.cores import on_all_cores
from bayeslat.model.collapsed import log_posterior
from bayeslat.model.collapsed_data import CollapsedData
from bayeslat.model.scores import FARTHEST

__all__ = ["FEW_SCALES", "Mode", "NoModeError", "find_mode", "held_mode"]

FEW_SCALES = 40
"""Up to so many, every step is as exact as it can be; more take seconds each."""

_FARTHEST = 7.0  # scores beyond this have prior probability 1e-12
_STEP = 1e-4  # of the central differences of the gradient
_MIN_CURVATURE = 0.2  # the prior alone gives 1
_NEWTON_STEPS = 50
_FLAT = 0.1  # slope per posterior standard deviation


@dataclass(frozen=True)
class Mode:
    """Gaussian view of the posterior of the scales, in scores.

    Attributes
    ----------
    centre : ndarray, shape (scale,)
    root : ndarray, shape (scale, scale)
        A square root of the inverse curvature: centre + root @ standard normal has its covariance.
    """

    centre: NDArray[np.float64]
    root: NDArray[np.float64]


class NoModeError(ConvergenceError):
    """The scales have no mode that the optimiser reaches.

    Attributes
    ----------
    scores : ndarray, shape (scale,)
        Where it stopped.
    """

    def __init__(self, message: str, scores: NDArray[np.float64]) -> None:
        super().__init__(message)
        self.scores = scores


def find_mode(data: CollapsedData) -> Mode:
    """Climb to the mode and measure the curvature there.

    Parameters
    ----------
    data : CollapsedData

    Returns
    -------
    Mode

    Raises
    ------
    NoModeError
        If the optimiser stops where the density is not flat.
    """
    found = _climb(data, [(-_FARTHEST, _FARTHEST)] * data.half_normal.size)
    mode, slope = _polish(data, found.x)
    farthest = float(np.abs(mode.centre).max())
    # Beyond FARTHEST scales are held, and the density is flat without a mode.
    if not slope < _FLAT or farthest > FARTHEST - 0.01:
        raise NoModeError(
            f"The scales have no mode that the optimiser reaches ({found.message}; it stopped "
            f"where the steepest slope is {slope:.2g} per standard deviation, {farthest:.2g} prior "
            "standard deviations out)",
            mode.centre,
        )
    return mode


def held_mode(data: CollapsedData, most: float) -> NDArray[np.float64]:
    """Climb as high as it goes while groups differ by no more than the prior finds likely.

    Parameters
    ----------
    data : CollapsedData
    most : float
        The largest score of a scale of effects, in prior standard deviations.

    Returns
    -------
    ndarray, shape (scale,)
        Scores.
    """
    ends = np.where(data.half_normal > 0.0, most, _FARTHEST)
    centre: NDArray[np.float64] = _climb(data, [(-_FARTHEST, end) for end in ends]).x
    return centre


def _climb(data: CollapsedData, bounds: Sequence[tuple[float, float]]) -> OptimizeResult:
    """Maximise the log posterior within bounds of the scores."""
    size = data.half_normal.size
    origin, unit = np.zeros(size), np.eye(size)
    # Per row: on the sum over many rows, the optimiser can stop after a few steps, far from the
    # mode, and nothing downstream would look wrong.
    rows = max(float(data.rows.sum()), 1.0)

    def objective(scores: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        value, gradient = log_posterior(scores, origin, unit, data)
        return -value / rows, -gradient / rows

    return minimize(
        objective,
        origin,
        jac=True,
        method="L-BFGS-B",
        bounds=bounds,
        options={"maxiter": 2000, "maxfun": 4000, "ftol": 1e-15, "gtol": 1e-9},
    )


def _polish(data: CollapsedData, point: NDArray[np.float64]) -> tuple[Mode, float]:
    """Go on with Newton's steps, which stand the steep valleys of many rows.

    Returns
    -------
    mode : Mode
    slope : float
        The steepest, per posterior standard deviation.
    """
    origin = np.zeros(len(point))
    for _ in range(_NEWTON_STEPS):
        values, vectors = np.linalg.eigh(_curvature(data, point))
        root = np.ascontiguousarray(vectors / np.sqrt(np.maximum(values, _MIN_CURVATURE)))
        height, slope = log_posterior(origin, point, root, data)
        steepest = float(np.abs(slope).max())
        # In units of the root, Newton's step is the slope; it is halved until it climbs.
        climbs = (
            size * slope
            for size in 0.5 ** np.arange(20)
            if log_posterior(size * slope, point, root, data)[0] > height
        )
        step = None if steepest < _FLAT else next(climbs, None)
        if step is None:
            break
        point = point + root @ step
    return Mode(point, root), steepest


def _curvature(data: CollapsedData, point: NDArray[np.float64]) -> NDArray[np.float64]:
    """Minus the Hessian of the log posterior, by central differences of its gradient."""
    unit = np.eye(len(point))

    def row(each: NDArray[np.float64]) -> NDArray[np.float64]:
        below = log_posterior(-_STEP * each, point, unit, data)[1]
        slope: NDArray[np.float64] = below - log_posterior(_STEP * each, point, unit, data)[1]
        return slope

    # On all cores where there are many scales: the compiled function holds no lock.
    many = len(point) > FEW_SCALES
    rows = on_all_cores(row, list(unit)) if many else [row(each) for each in unit]
    hessian = np.array(rows) / (2 * _STEP)
    return 0.5 * (hessian + hessian.T)
