"""Method `A`: each stage of the target is a line in the source's prediction, t = a f + b."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayeslat.evaluation.baselines.donors import Donors
from bayeslat.evaluation.baselines.observations import Observations, observe_target
from bayeslat.evaluation.baselines.point_estimator import PointEstimator
from bayeslat.evaluation.baselines.point_model import PointModel
from bayeslat.evaluation.baselines.source_models import SourceModel
from bayeslat.features.hardware import Gpu
from bayeslat.features.spec import Spec

__all__ = ["AffineModel", "StageAffine", "fit_affine"]

type Values = NDArray[np.float64]


@dataclass(frozen=True)
class AffineModel:
    """A line in another model's prediction.

    Attributes
    ----------
    source : PointModel
    slope : float
    intercept_ms : float
    floor_ms : float
        Predictions below it are raised to it: a line can fall below 0.
    """

    source: PointModel
    slope: float
    intercept_ms: float
    floor_ms: float

    def ms(self, configs: pd.DataFrame) -> Values:
        """Latency in ms. Shape (config,)."""
        line = self.slope * self.source.ms(configs) + self.intercept_ms
        return np.maximum(line, self.floor_ms)


def fit_affine(source: PointModel, observed: Observations, *, relative: bool) -> AffineModel:
    """Fit a line by least squares.

    Parameters
    ----------
    source : PointModel
    observed : Observations
        Of the target. If the source predicts the same for all, the least slope and intercept.
    relative : bool
        Whether squares of relative errors are added up, or of errors in ms, in which long
        latencies drown short ones.

    Returns
    -------
    AffineModel
        Cut at half of the shortest latency.
    """
    predicted = source.ms(observed.configs)
    weight = 1.0 / observed.ms if relative else np.ones(len(observed.ms))
    columns = np.stack([predicted, np.ones(len(predicted))], axis=1) * weight[:, None]
    slope, intercept = np.linalg.lstsq(columns, observed.ms * weight)[0]
    return AffineModel(source, float(slope), float(intercept), observed.floor_ms)


@dataclass(frozen=True)
class TrainedStageAffine:
    """See `StageAffine`."""

    method: StageAffine
    spec: Spec
    source: SourceModel

    @property
    def note(self) -> str:
        """Which source model."""
        return self.source.note

    def calibrate(self, rows: pd.DataFrame, gpu: Gpu) -> PointEstimator:
        """Fit a line a stage."""
        method, models = self.method, self.source.models
        observed = observe_target(method, self.spec, rows, gpu, models)
        lines = {
            name: fit_affine(models[name], each, relative=method.relative)
            for name, each in observed.items()
        }
        return PointEstimator(self.spec, gpu, lines)


@dataclass(frozen=True)
class StageAffine:
    """Least squares of (a, b) for each stage.

    Attributes
    ----------
    name : str
    model : str or None
        Source model by stage; that of the least validation error by default.
    relative : bool
        As in `fit_affine`. Relative errors lower the MAPE by a third.
    least_rows : int
    """

    name: str
    model: str | None = None
    relative: bool = True
    least_rows: int = 2

    def train(self, donors: Donors) -> TrainedStageAffine:
        """Fit the source model."""
        return TrainedStageAffine(self, donors.spec, donors.source_model(self.model))
