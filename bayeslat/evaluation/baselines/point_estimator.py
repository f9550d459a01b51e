"""Latencies of stages from one model each, and the total that they add up to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayeslat.decisions.prediction import TOTAL
from bayeslat.evaluation.baselines.curves import to_ms
from bayeslat.evaluation.baselines.estimate import Estimate
from bayeslat.evaluation.baselines.point_model import PointModel
from bayeslat.features.design import stage_times
from bayeslat.features.hardware import Gpu
from bayeslat.features.spec import Spec

__all__ = ["PointEstimator", "TotalModel", "add_stages", "estimate_draws"]

type Values = NDArray[np.float64]


@dataclass(frozen=True)
class PointEstimator:
    """An estimator without a distribution.

    Attributes
    ----------
    spec : Spec
    gpu : Gpu
    models : mapping of stage to PointModel
        One for every stage, or one for `total` alone.
    """

    spec: Spec
    gpu: Gpu
    models: Mapping[str, PointModel]

    def predict(self, configs: pd.DataFrame) -> Estimate:
        """Estimate the latencies of configs."""
        points = {name: model.ms(configs) for name, model in self.models.items()}
        if TOTAL in points:
            return Estimate({}, points[TOTAL])
        return Estimate(points, add_stages(self.spec, configs, self.gpu, points))


@dataclass(frozen=True)
class TotalModel:
    """The total of an estimator as a point model.

    Attributes
    ----------
    estimator : PointEstimator
    """

    estimator: PointEstimator

    def ms(self, configs: pd.DataFrame) -> Values:
        """Total in ms. Shape (config,)."""
        return self.estimator.predict(configs).total


def add_stages(spec: Spec, configs: pd.DataFrame, gpu: Gpu, stages: Mapping[str, Values]) -> Values:
    """Add stages up to the total, each as often as it runs.

    Parameters
    ----------
    spec : Spec
    configs : DataFrame, one row a config
    gpu : Gpu
    stages : mapping of stage to ndarray, shape (config,) or (config, draw)
        One run each, in ms.

    Returns
    -------
    ndarray, shape (config,) or (config, draw)
    """
    parts = []
    for name, latency in stages.items():
        times = stage_times(spec, name, configs, gpu)
        parts.append(times.reshape(-1, *[1] * (latency.ndim - 1)) * latency)
    total: Values = np.sum(parts, axis=0)
    return total


def estimate_draws(
    spec: Spec,
    configs: pd.DataFrame,
    gpu: Gpu,
    log_means: Mapping[str, Values],
    log_runs: Mapping[str, Values],
) -> Estimate:
    """Turn log latencies of stages, with draws of a run, into an estimate with its total.

    Parameters
    ----------
    spec : Spec
    configs : DataFrame, one row a config
    gpu : Gpu
    log_means : mapping of stage to ndarray, shape (config,)
    log_runs : mapping of stage to ndarray, shape (config, draw)

    Returns
    -------
    Estimate
    """
    points = {name: to_ms(log) for name, log in log_means.items()}
    runs = {name: to_ms(log) for name, log in log_runs.items()}
    draws = {**runs, TOTAL: add_stages(spec, configs, gpu, runs)}
    return Estimate(points, add_stages(spec, configs, gpu, points), draws=draws)
