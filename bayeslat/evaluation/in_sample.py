"""How well a posterior fits the rows that it was fitted to."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayeslat.decisions.predict import predict
from bayeslat.decisions.prediction import Prediction
from bayeslat.decisions.summary import summarise_draws
from bayeslat.evaluation.judged import judged
from bayeslat.evaluation.measured import measured_latencies
from bayeslat.evaluation.metrics import coverage, mape
from bayeslat.features.hardware import HardwareTable
from bayeslat.features.thinning import evenly
from bayeslat.inference.posteriors.gross_errors import without_gross_errors
from bayeslat.inference.posteriors.posterior import PosteriorData

__all__ = ["MOST_ROWS", "in_sample_errors"]

MOST_ROWS = 500
"""Rows of a GPU that are predicted; of more, evenly spaced ones."""


def in_sample_errors(
    data: PosteriorData, traces: pd.DataFrame, *, hardware: HardwareTable, seed: int = 0
) -> pd.DataFrame:
    """Predict rows that were fitted, and compare.

    Errors of rows that were not fitted are larger: `check_posterior` tells them.

    Parameters
    ----------
    data : PosteriorData
    traces : DataFrame, one row a measurement
        What was fitted. Rows of other GPUs are passed over, and so are gross errors that the fit
        set aside; the rules are not checked again.
    hardware : HardwareTable
        Knows the names in the column `gpu`.
    seed : int

    Returns
    -------
    DataFrame, one row a GPU and stage
        `gpu`, `stage` (or `total`), `rows`, `mape` (where there is a hurdle, of the rows above it)
        and `coverage_90` (part of the rows inside the 90 % interval of a run). Without those of
        which nothing was measured.
    """
    traces = without_gross_errors(data.spec, traces, data.set_aside)
    keys = [_key(hardware, name) for name in traces["gpu"]]
    found: list[dict[str, Any]] = []
    for gpu in (each for each in data.gpus if each in keys):
        rows = np.flatnonzero([key == gpu for key in keys])
        kept = rows[evenly(len(rows), MOST_ROWS)]
        measured, entry = traces.iloc[kept], data.hardware[gpu]
        prediction = predict(data, measured, entry, seed=seed)
        for stage, latency in measured_latencies(data.spec, measured, entry).items():
            if not np.isnan(latency).all():
                found.append(
                    {"gpu": gpu, "stage": stage, **_score(data, prediction, stage, latency)}
                )
    return pd.DataFrame(found, columns=["gpu", "stage", "rows", "mape", "coverage_90"])


def _key(hardware: HardwareTable, name: object) -> str | None:
    """Key of a GPU by any of its names."""
    gpu = hardware.find(name) if isinstance(name, str) else None
    return None if gpu is None else gpu.key


def _score(
    data: PosteriorData, prediction: Prediction, stage: str, latency: NDArray[np.float64]
) -> dict[str, int | float]:
    """Compare one stage of a prediction with measurements."""
    low, high = (prediction.frame[f"{stage}_{name}_ms"].to_numpy() for name in ("q05", "q95"))
    draws, told = judged(data.spec, prediction, stage, latency)
    return {
        "rows": int((~np.isnan(latency)).sum()),
        "mape": mape(summarise_draws(draws)["point"], told),
        "coverage_90": coverage(low, high, latency),
    }
