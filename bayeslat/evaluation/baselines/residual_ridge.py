"""Method `C_ridge`: the source's model, corrected by a ridge on what its log misses."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayeslat.evaluation.baselines.curves import Curve, CurveModel, to_ms
from bayeslat.evaluation.baselines.donors import Donors
from bayeslat.evaluation.baselines.observations import Observations, observe_target
from bayeslat.evaluation.baselines.point_estimator import PointEstimator
from bayeslat.evaluation.baselines.polynomial import Polynomial
from bayeslat.evaluation.baselines.source_models import SourceModel
from bayeslat.features.hardware import Gpu
from bayeslat.features.spec import Spec

__all__ = ["CorrectedModel", "ResidualRidge"]

_CORRECTION = Polynomial(degree=2, alphas=tuple(np.logspace(0, 3, 13).tolist()))
"""Its slopes are small beside the source's own."""


@dataclass(frozen=True)
class CorrectedModel:
    """A model whose log is shifted by a curve in the same features.

    Attributes
    ----------
    source : CurveModel
    correction : Curve
    """

    source: CurveModel
    correction: Curve

    def ms(self, configs: pd.DataFrame) -> NDArray[np.float64]:
        """Latency in ms. Shape (config,)."""
        features = self.source.features.columns(configs)
        return to_ms(self.source.curve(features) + self.correction(features))


@dataclass(frozen=True)
class TrainedResidualRidge:
    """See `ResidualRidge`."""

    method: ResidualRidge
    spec: Spec
    source: SourceModel
    seed: int

    @property
    def note(self) -> str:
        """Which source model."""
        return self.source.note

    def calibrate(self, rows: pd.DataFrame, gpu: Gpu) -> PointEstimator:
        """Fit the correction of each stage."""
        models, method = self.source.models, self.method
        observed = observe_target(method, self.spec, rows, gpu, models)
        corrected = {name: self._correct(models[name], each) for name, each in observed.items()}
        return PointEstimator(self.spec, gpu, corrected)

    def _correct(self, source: CurveModel, observed: Observations) -> CorrectedModel:
        features = source.features.columns(observed.configs)
        missed = observed.log_ms - source.curve(features)
        return CorrectedModel(source, _CORRECTION.fit(features, missed, seed=self.seed))


@dataclass(frozen=True)
class ResidualRidge:
    """Fine-tuning by a quadratic: a constant factor, and shrunk departures from it.

    Attributes
    ----------
    name : str
    model : str or None
        Source model by stage; that of the least validation error by default.
    least_rows : int
    """

    name: str
    model: str | None = None
    least_rows: int = 2

    def train(self, donors: Donors) -> TrainedResidualRidge:
        """Fit the source model."""
        source = donors.source_model(self.model)
        return TrainedResidualRidge(self, donors.spec, source, donors.seed)
