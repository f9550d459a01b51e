"""What the errors of a stage are told by, where it often takes no time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bayeslat.decisions.prediction import Prediction
from bayeslat.features.spec import Spec
from bayeslat.inference.stage_rows import least_ms

__all__ = ["judged"]


def judged(
    spec: Spec, prediction: Prediction, stage: str, latency: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the draws and the measurements whose relative errors tell something.

    Where a stage has a hurdle, those of the runs that take time: how wrong a prediction is,
    relative to a latency that is none, says nothing.

    Parameters
    ----------
    spec : Spec
    prediction : Prediction
    stage : str
        Or `total`, which is judged as it is.
    latency : ndarray, shape (config,)
        In ms; NaN where nothing was measured.

    Returns
    -------
    draws : ndarray, shape (config, draw)
        In ms.
    latency : ndarray, shape (config,)
        NaN, too, where the stage took no time.
    """
    part = prediction.stages.get(stage)
    if part is None or part.hurdle is None:
        return prediction.draws(stage), latency
    return part.taking_ms, np.where(latency > least_ms(spec, stage), latency, np.nan)
