"""Method `ridge`: a quadratic by ridge on the target's own rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from bayeslat.evaluation.baselines.curves import CurveModel
from bayeslat.evaluation.baselines.donors import Donors
from bayeslat.evaluation.baselines.knob_features import KnobFeatures
from bayeslat.evaluation.baselines.observations import observe_target
from bayeslat.evaluation.baselines.point_estimator import PointEstimator
from bayeslat.evaluation.baselines.polynomial import Polynomial
from bayeslat.features.hardware import Gpu
from bayeslat.features.spec import Spec

__all__ = ["TARGET_POLYNOMIAL", "Ridge"]

TARGET_POLYNOMIAL = Polynomial(degree=2, alphas=tuple(np.logspace(-2, 2, 17).tolist()))
"""For a few dozen rows; a penalty below 0.01 interpolates them."""


@dataclass(frozen=True)
class TrainedRidge:
    """See `Ridge`."""

    method: Ridge
    spec: Spec
    features: Mapping[str, KnobFeatures]
    seed: int
    note: str = ""

    def calibrate(self, rows: pd.DataFrame, gpu: Gpu) -> PointEstimator:
        """Fit each stage."""
        method, stages = self.method, self.spec.stages
        observed = observe_target(method, self.spec, rows, gpu, stages)
        models = {}
        for name, each in observed.items():
            features = self.features[name]
            columns = features.columns(each.configs)
            curve = TARGET_POLYNOMIAL.fit(columns, each.log_ms, seed=self.seed)
            models[name] = CurveModel(features, curve)
        return PointEstimator(self.spec, gpu, models)


@dataclass(frozen=True)
class Ridge:
    """Log latency on slopes, and more strongly shrunk bends and products, of the log knobs.

    The donors only set the scale of the knobs.

    Attributes
    ----------
    name : str
    least_rows : int
    """

    name: str
    least_rows: int = 3

    def train(self, donors: Donors) -> TrainedRidge:
        """Take the scale of the knobs."""
        return TrainedRidge(self, donors.spec, donors.features, donors.seed)
