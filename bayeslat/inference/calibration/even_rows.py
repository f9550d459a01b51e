"""A group's rows as a posterior's linear regression of log latency, with noise evened out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bayeslat.features.design import Linearisation
from bayeslat.inference.posteriors.posterior import StagePosterior
from bayeslat.inference.posteriors.walk import Trail
from bayeslat.inference.rows.regression import log_linear
from bayeslat.inference.rows.stage_rows import StageRows

__all__ = ["even_rows"]


def even_rows(
    part: StagePosterior,
    point: Linearisation,
    departure: NDArray[np.float64],
    rows: StageRows,
    trail: Trail | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Linearise rows, over the noise shape: all then have the noise of a typical configuration.

    Parameters
    ----------
    part : StagePosterior
    point : Linearisation
    departure : ndarray, shape (term,)
        Log efficiencies at the point, less the shared ones.
    rows : StageRows
    trail : Trail, optional
        Its columns come behind those of the stage.

    Returns
    -------
    design : ndarray, shape (row, feature)
    response : ndarray, shape (row,)
    """
    design, response = log_linear(point, departure, rows, part.basis)
    if trail is not None:
        places = part.basis.places(rows.inputs.raw)
        design = np.column_stack([design, trail.columns(places)])
    spread = part.noise_shape.spread(part.basis, rows.inputs.raw)
    return design / spread[:, None], response / spread
