"""Measurements as a posterior expects them, drawn as whole tables."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from bayeslat.decisions.prediction import TOTAL, Prediction

__all__ = ["simulate_tables"]


def simulate_tables(
    prediction: Prediction, stage: str, rows: NDArray[np.bool_], seed: int | list[int]
) -> NDArray[np.float64]:
    """Simulate a measurement of each row, once for each draw of the posterior.

    All rows of a simulated table have the same GPU: one draw of its efficiencies, of its noise
    level and of what it takes below a hurdle, so the tables vary as a GPU of which the posterior is
    unsure would. Each row has noise of its own. What a statistic of the measurements should be, if
    the posterior is right, is its distribution over the tables (Gelman, Meng and Stern 1996,
    section 2).

    Parameters
    ----------
    prediction : Prediction
        Of one GPU.
    stage : str
        Or `total`.
    rows : ndarray of bool, shape (config,)
        Those that were measured.
    seed : int or list of int

    Returns
    -------
    ndarray, shape (row, draw)
        In ms; each column is a table.
    """
    rng = np.random.default_rng(seed)
    names = prediction.stages if stage == TOTAL else (stage,)
    latency = np.zeros((int(rows.sum()), 1))
    # Shuffled within each row, since a prediction gives all its rows the same noise; the stages of
    # a run keep theirs together.
    draws = prediction.stages[next(iter(names))].typical_ms.shape[1]
    order = rng.permuted(np.broadcast_to(np.arange(draws), (len(latency), draws)), axis=1)
    for name in names:
        part = prediction.stages[name]
        typical = part.typical_ms[rows]
        noise_sd = np.broadcast_to(part.noise_sd, part.typical_ms.shape)[rows]
        standard = np.broadcast_to(part.log_noise / part.noise_sd, part.typical_ms.shape)[rows]
        noise = noise_sd * np.take_along_axis(standard, order, axis=1)
        times = part.times[rows, None] if stage == TOTAL else 1.0
        runs = typical * np.exp(noise)
        if part.hurdle is not None:
            hurdle = part.hurdle.rows(np.flatnonzero(rows))
            rank = np.broadcast_to(hurdle.rank, typical.shape)
            hurdle = replace(hurdle, rank=np.take_along_axis(rank, order, axis=1))
            runs = hurdle.redrawn(rng).runs(runs)
        latency = latency + times * runs
    return latency
