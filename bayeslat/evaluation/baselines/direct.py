"""Methods `direct`, `linear`, `polynomial`, `neural` and `total_only`: the source's model as is."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from bayeslat.evaluation.baselines.donors import Donors
from bayeslat.evaluation.baselines.point_estimator import PointEstimator
from bayeslat.evaluation.baselines.source_models import SourceModel
from bayeslat.features.hardware import Gpu
from bayeslat.features.spec import Spec

__all__ = ["Direct"]


@dataclass(frozen=True)
class TrainedDirect:
    """See `Direct`."""

    spec: Spec
    source: SourceModel

    @property
    def note(self) -> str:
        """Which source model."""
        return self.source.note

    def calibrate(self, rows: pd.DataFrame, gpu: Gpu) -> PointEstimator:
        """Pass over the measurements: nothing is calibrated."""
        return PointEstimator(self.spec, gpu, self.source.models)


@dataclass(frozen=True)
class Direct:
    """Predict that the target is as fast as the source.

    Attributes
    ----------
    name : str
    model : str or None
        Source model; that of the least validation error by default.
    least_rows : int
    """

    name: str
    model: str | None = None
    least_rows: int = 0

    def train(self, donors: Donors) -> TrainedDirect:
        """Fit the source model."""
        return TrainedDirect(donors.spec, donors.source_model(self.model))
