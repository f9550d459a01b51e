"""Student-t noise, of scale 1: what its degrees of freedom say of a row, and draws of it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

__all__ = [
    "MOST_DOF",
    "draw_student_t",
    "information",
    "pseudo_variance",
    "student_t_quantile",
]

MOST_DOF = 1e6
"""Degrees of freedom in place of infinitely many: normal to six digits."""


def information(dof: float) -> float:
    """Fisher information of a row about its location, which is 1 under normal noise.

    Lange, Little and Taylor 1989.

    Parameters
    ----------
    dof : float
        Infinite for normal noise, here and below.
    """
    return 1.0 if np.isinf(dof) else (dof + 1.0) / (dof + 3.0)


def pseudo_variance(dof: float) -> float:
    """Variance of Huber's pseudo-values (`pilot.pseudo_values`): the inverse of `information`."""
    return 1.0 if np.isinf(dof) else (dof + 3.0) / (dof + 1.0)


def student_t_quantile(level: float | NDArray[np.float64], dof: float) -> NDArray[np.float64]:
    """Return quantiles. Shapes (...)."""
    quantile: NDArray[np.float64] = stdtrit(min(dof, MOST_DOF), level)
    return quantile


def draw_student_t(
    shape: int | tuple[int, ...], dof: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Draw independent noise of a shape."""
    return rng.standard_normal(shape) if np.isinf(dof) else rng.standard_t(dof, shape)
