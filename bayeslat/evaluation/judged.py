"""What the errors of a stage are told by, where it often takes no time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bayeslat.decisions.prediction import TOTAL, Prediction
from bayeslat.features.spec import Spec
from bayeslat.inference.rows.stage_rows import least_ms

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
        Or `total`, which is judged as it is, but for that of a single stage.
    latency : ndarray, shape (config,)
        In ms; NaN where nothing was measured.

    Returns
    -------
    draws : ndarray, shape (config, draw)
        In ms.
    latency : ndarray, shape (config,)
        NaN, too, where the stage took no time.
    """
    is_alone = stage == TOTAL and len(prediction.stages) == 1
    name = next(iter(prediction.stages)) if is_alone else stage
    part = prediction.stages.get(name)
    if part is None or part.hurdle is None:
        return prediction.draws(stage), latency
    times = part.times if is_alone else np.ones(len(latency))
    taken = latency > times * least_ms(spec, name)
    return times[:, None] * part.taking_ms, np.where(taken, latency, np.nan)
