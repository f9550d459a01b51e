"""The tails of the noise: how far outliers may lie."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bayeslat.features.thinning import evenly
from bayeslat.inference.rows.pilot import fit_pilot

__all__ = ["choose_dof"]

_DOF_GRID = (3.0, 4.0, 5.0, 7.0, 10.0, 20.0, 50.0, np.inf)
_LOG_PRIOR = tuple(np.log(min(dof, 100.0)) - 0.1 * min(dof, 100.0) for dof in _DOF_GRID)
_ROWS_FOR_DOF = 2000  # of a group; the tails are plain to see in these

type Rows = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]
"""Design (row, feature), response (row,) and weights (row,) of a group."""


def choose_dof(groups: Sequence[Rows], prior_sd: NDArray[np.float64]) -> float:
    """Choose the tails of the noise by the profile likelihood over all groups and a prior.

    Lange, Little and Taylor 1989, section 2, on at most 2000 rows of each group; with the prior
    Gamma(2, rate 0.1) of Juárez and Steel (2010), since a few rows always look Gaussian.

    Parameters
    ----------
    groups : sequence over group of (design, response, weights)
    prior_sd : ndarray, shape (feature,)
        Sd of each effect round zero in the pilot fits, in log latency.

    Returns
    -------
    float
        Degrees of freedom of a Student-t; infinite when the rows look Gaussian.
    """
    few = [[part[evenly(len(y), _ROWS_FOR_DOF)] for part in (z, y, w)] for z, y, w in groups]
    posterior = {
        dof: sum((fit_pilot(z, y, w, prior_sd, dof).log_likelihood for z, y, w in few), prior)
        for dof, prior in zip(_DOF_GRID, _LOG_PRIOR, strict=True)
    }
    return max(posterior, key=lambda dof: posterior[dof])
