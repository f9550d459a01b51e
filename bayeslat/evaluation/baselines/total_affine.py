"""Method `B`: the target's total is a line in the source's predicted total, T = a F + b."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from bayeslat.decisions.prediction import TOTAL
from bayeslat.evaluation.baselines.affine import fit_affine
from bayeslat.evaluation.baselines.donors import Donors
from bayeslat.evaluation.baselines.observations import observe_target
from bayeslat.evaluation.baselines.point_estimator import PointEstimator, TotalModel
from bayeslat.evaluation.baselines.source_models import SourceModel
from bayeslat.features.hardware import Gpu
from bayeslat.features.spec import Spec

__all__ = ["TotalAffine"]


@dataclass(frozen=True)
class TrainedTotalAffine:
    """See `TotalAffine`."""

    method: TotalAffine
    spec: Spec
    source_gpu: Gpu
    source: SourceModel

    @property
    def note(self) -> str:
        """Which source model."""
        return self.source.note

    def calibrate(self, rows: pd.DataFrame, gpu: Gpu) -> PointEstimator:
        """Fit the line."""
        method = self.method
        total = TotalModel(PointEstimator(self.spec, self.source_gpu, self.source.models))
        observed = observe_target(method, self.spec, rows, gpu, [TOTAL])
        line = fit_affine(total, observed[TOTAL], relative=method.relative)
        return PointEstimator(self.spec, gpu, {TOTAL: line})


@dataclass(frozen=True)
class TotalAffine:
    """Least squares of (a, b) on the total, whose stages are not predicted.

    Attributes
    ----------
    name : str
    model : str or None
        Source model, by stage or `total_only`; that of the least validation error by default.
    relative : bool
        As in `fit_affine`.
    least_rows : int
    """

    name: str
    model: str | None = None
    relative: bool = True
    least_rows: int = 2

    def train(self, donors: Donors) -> TrainedTotalAffine:
        """Fit the source model."""
        source = donors.source_model(self.model)
        return TrainedTotalAffine(self, donors.spec, donors.source_gpu, source)
