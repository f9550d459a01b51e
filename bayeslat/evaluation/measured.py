"""Measured latencies by stage, and the total that they add up to."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayeslat.decisions.prediction import TOTAL
from bayeslat.features.design import stage_times
from bayeslat.features.hardware import Gpu
from bayeslat.features.spec import Spec

__all__ = ["measured_latencies"]


def measured_latencies(
    spec: Spec, frame: pd.DataFrame, gpu: Gpu, joined: Sequence[Sequence[str]] = ()
) -> dict[str, NDArray[np.float64]]:
    """Return the latencies of each stage, and their sum.

    Parameters
    ----------
    spec : Spec
    frame : DataFrame, one row a measurement
        Of one GPU.
    gpu : Gpu
    joined : sequence of sequence of str
        Stages whose sums are wanted too.

    Returns
    -------
    dict of str to ndarray, shape (config,)
        In ms. `total` is the sum over stages of `times` x latency; NaN where a stage that runs at
        least once was not measured. Likewise `a+b` for stages that are joined.
    """
    frame = spec.complete(frame)
    found: dict[str, NDArray[np.float64]] = {}
    taken: dict[str, NDArray[np.float64]] = {}
    for name, stage in spec.stages.items():
        held = stage.column in frame
        latency = (
            frame[stage.column].to_numpy(dtype=float, na_value=np.nan)
            if held
            else np.full(len(frame), np.nan)
        )
        times = stage_times(spec, name, frame, gpu)
        taken[name] = np.where(times == 0, 0.0, times * latency)
        found[name] = latency
    sums = {TOTAL: tuple(spec.stages), **{"+".join(names): names for names in joined}}
    return found | {
        name: np.sum([taken[stage] for stage in stages], axis=0) for name, stages in sums.items()
    }
