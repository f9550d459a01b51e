"""The affine estimator that trials set beside the posterior."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayeslat.decisions.guard import Budget
from bayeslat.errors import InputError
from bayeslat.evaluation.baselines import Donors, find_baseline
from bayeslat.evaluation.baselines.donors import LEAST_SOURCE_ROWS
from bayeslat.evaluation.baselines.interface import TrainedBaseline
from bayeslat.evaluation.holdout import Holdout, without_configs
from bayeslat.features.design import stage_times
from bayeslat.features.hardware import Gpu, HardwareTable
from bayeslat.features.spec import Spec
from bayeslat.inference.posteriors.posterior import PosteriorData

__all__ = ["AFFINE", "affine_points", "choose_source", "train_affine"]

_SOURCE_ROWS = 2 * LEAST_SOURCE_ROWS  # of a donor, since test configurations are left out
AFFINE = "A_polynomial"
"""The document's estimator: each stage a line in the prediction of the source GPU's own model."""


def choose_source(data: PosteriorData, rivals: pd.DataFrame) -> str | None:
    """Return the first donor that the traces hold enough of."""
    columns = data.spec.latency_columns
    for key in data.gpus:
        rows = rivals[rivals["gpu"] == key]
        if all(
            (rows[name].notna().sum() if name in rows else 0) >= _SOURCE_ROWS for name in columns
        ):
            return key
    return None


def train_affine(
    spec: Spec,
    rivals: pd.DataFrame,
    source: str | None,
    hardware: HardwareTable,
    held: Holdout,
    seed: int,
) -> TrainedBaseline | None:
    """Fit the source's own model, without the test configurations; None if too few are left."""
    rows = without_configs(rivals, held.test)
    if source is None or source not in set(rows["gpu"]):
        return None
    try:
        return find_baseline(AFFINE).train(Donors(spec, rows, source, hardware, seed))
    except InputError:
        return None


def affine_points(
    affine: TrainedBaseline | None,
    spec: Spec,
    rows: pd.DataFrame,
    gpu: Gpu,
    test: pd.DataFrame,
    budget: Budget,
) -> NDArray[np.float64]:
    """Points of the affine estimator, of what a budget is for. Shape (config,).

    NaN where a stage has too few rows.
    """
    none = np.full(len(test), np.nan)
    if affine is None:
        return none
    try:
        points = affine.calibrate(rows, gpu).predict(test).points
    except InputError:
        return none
    if len(budget.stages) < 2:
        return points[str(budget)]
    taken = [points[name] * stage_times(spec, name, test, gpu) for name in budget.stages]
    return np.asarray(np.sum(taken, axis=0), dtype=np.float64)
