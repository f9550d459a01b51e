"""What a pass leaves to its sums: all that is linear, and the same for all rows of a group.

A row is summed in units of its noise. Its response is what Huber's pseudo-values add to the fitted
values of the pilot, and its residual columns are not yet orthogonal to the shares.
"""

from __future__ import annotations

from math import isfinite

import numpy as np
from numpy.typing import NDArray

from bayeslat.inference.rows.settled import SettledStage

__all__ = ["noise_units", "to_sums"]


def noise_units(point: SettledStage, sd: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the unit of each group's noise, over its shape.

    In it, psi of Student-t noise is the residual over one plus its square, up to a factor.

    Parameters
    ----------
    point : SettledStage
    sd : ndarray, shape (group,)
        Of the pilots.

    Returns
    -------
    ndarray, shape (group,)
    """
    dof = point.noise_dof
    return sd * (np.sqrt(dof) if isfinite(dof) else 1.0)


def to_sums(point: SettledStage, effect: NDArray[np.float64], gpu: int) -> NDArray[np.float64]:
    """Return what makes the columns of a pass those of the statistics, in its units.

    It takes the shares off the residual columns, gives the response its factor, as `pseudo_values`
    has it, and adds the fitted values.

    Parameters
    ----------
    point : SettledStage
    effect : ndarray, shape (feature,)
        Of the group's pilot.
    gpu : int
        Position of the group's GPU.

    Returns
    -------
    ndarray, shape (column, column)
        Columns are shares, residual columns and the response.
    """
    terms, columns = point.projection[gpu].shape
    dof = point.noise_dof
    found = np.eye(terms + columns + 1)
    found[terms:-1, :terms] = -point.projection[gpu].T
    found[-1, :-1] = effect @ found[:-1, :-1]
    found[-1, -1] = (dof + 3) / dof if isfinite(dof) else 1.0
    return found
