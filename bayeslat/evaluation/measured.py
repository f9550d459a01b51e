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
from bayeslat.inference.rows.stage_rows import latency_of

__all__ = ["ADD_STAGES", "measured_latencies", "measured_ms"]

ADD_STAGES = (
    "add traces that hold them, or, where a row holds one stage, as a step or a request of a "
    "server, give that stage a budget"
)
"""The cure where no row holds all stages that a budget is of."""


def measured_latencies(
    spec: Spec, frame: pd.DataFrame, gpu: Gpu, bounded: Sequence[Sequence[str]] = ()
) -> dict[str, NDArray[np.float64]]:
    """Return the latencies of each stage, and their sum.

    Parameters
    ----------
    spec : Spec
    frame : DataFrame, one row a measurement
        Of one GPU.
    gpu : Gpu
    bounded : sequence of sequence of str
        Stages that budgets are of: their latency where the stage runs, or the sum of several.

    Returns
    -------
    dict of str to ndarray, shape (config,)
        In ms. `total` is the sum over stages of `times` x latency; NaN where a stage that runs at
        least once was not measured or none runs, and in all rows if those with a total run one
        stage each and others have what they lack: steps of a server and waits of its requests.
        Likewise `a+b` for several stages of a budget.
    """
    frame = spec.complete(frame)
    found = {name: latency_of(spec, name, frame) for name in spec.stages}
    taken = {name: _taken(spec, name, frame, gpu) for name in spec.stages}
    runs = {name: stage_times(spec, name, frame, gpu) > 0 for name in spec.stages}
    told = {name: np.isfinite(found[name]) for name in spec.stages}

    def add(stages: Sequence[str]) -> NDArray[np.float64]:
        running = np.array([runs[name] for name in stages])
        whole = np.sum([taken[name] for name in stages], axis=0)
        held = np.isfinite(whole) & running.any(axis=0)
        measured = np.array([told[name] for name in stages])
        elsewhere = measured[:, ~held].any(axis=1) & ~measured[:, held].any(axis=1)
        apart = (running[:, held].sum(axis=0) == 1).all() and elsewhere.any()
        return np.full(len(frame), np.nan) if apart else np.where(held, whole, np.nan)

    found[TOTAL] = add(tuple(spec.stages))
    for stages in bounded:
        if len(stages) == 1:
            found[stages[0]] = np.where(runs[stages[0]], found[stages[0]], np.nan)
        else:
            found["+".join(stages)] = add(stages)
    return found


def measured_ms(spec: Spec, frame: pd.DataFrame, gpu: Gpu) -> NDArray[np.float64]:
    """Return how long each measurement took, in as much as it was measured.

    Parameters
    ----------
    spec : Spec
    frame : DataFrame, one row a measurement
        Of one GPU.
    gpu : Gpu

    Returns
    -------
    ndarray, shape (row,)
        In ms: the sum of `times` x latency over the stages that the row holds.
    """
    frame = spec.complete(frame)
    taken = np.array([_taken(spec, name, frame, gpu) for name in spec.stages])
    return np.asarray(np.nansum(taken, axis=0), dtype=np.float64)


def _taken(spec: Spec, stage: str, frame: pd.DataFrame, gpu: Gpu) -> NDArray[np.float64]:
    """What a stage takes of each measurement: `times` x latency. Shape (row,)."""
    times = stage_times(spec, stage, frame, gpu)
    return np.where(times == 0, 0.0, times * latency_of(spec, stage, frame))
