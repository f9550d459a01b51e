"""Method `boosted_trees`: gradient-boosted trees with a quantile objective, on the target's rows.

llm-d's latency predictor fits such trees to time to first token and time per output token
(XGBoost, quantile 0.9).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayeslat.decisions.prediction import TOTAL
from bayeslat.evaluation.baselines.curves import to_ms
from bayeslat.evaluation.baselines.donors import Donors
from bayeslat.evaluation.baselines.estimate import LEVELS, Estimate
from bayeslat.evaluation.baselines.knob_features import KnobFeatures
from bayeslat.evaluation.baselines.libraries import require
from bayeslat.evaluation.baselines.observations import Observations, observe_target
from bayeslat.evaluation.baselines.point_estimator import add_stages
from bayeslat.features.hardware import Gpu
from bayeslat.features.spec import Spec

__all__ = ["BoostedTrees"]

type Values = NDArray[np.float64]

_ROUNDS = 150
_PARAMETERS = {"max_depth": 2, "eta": 0.3, "nthread": 1, "verbosity": 0}


@dataclass(frozen=True, eq=False)
class TreeModel:
    """Trees of one stage for each quantile.

    Attributes
    ----------
    features : KnobFeatures
    booster : xgboost.Booster
        Of log latency.
    """

    features: KnobFeatures
    booster: Any

    def quantiles(self, configs: pd.DataFrame) -> Mapping[float, Values]:
        """Latency in ms at `LEVELS`, sorted where trees cross. Shapes (config,)."""
        columns = require("xgboost").DMatrix(self.features.columns(configs))
        log_ms = np.sort(self.booster.predict(columns).reshape(-1, len(LEVELS)), axis=1)
        latency = to_ms(log_ms.astype(float))
        return dict(zip(LEVELS, latency.T, strict=True))


@dataclass(frozen=True)
class TreeEstimator:
    """See `BoostedTrees`."""

    spec: Spec
    gpu: Gpu
    models: Mapping[str, TreeModel]

    def predict(self, configs: pd.DataFrame) -> Estimate:
        """Estimate the latencies of configs, with quantiles."""
        stages = {name: model.quantiles(configs) for name, model in self.models.items()}
        total = {
            level: add_stages(
                self.spec, configs, self.gpu, {name: each[level] for name, each in stages.items()}
            )
            for level in LEVELS
        }
        points = {name: each[0.5] for name, each in stages.items()}
        return Estimate(points, total[0.5], quantiles={**stages, TOTAL: total})


@dataclass(frozen=True)
class TrainedBoostedTrees:
    """See `BoostedTrees`."""

    method: BoostedTrees
    spec: Spec
    features: Mapping[str, KnobFeatures]
    seed: int
    note: str = ""

    def calibrate(self, rows: pd.DataFrame, gpu: Gpu) -> TreeEstimator:
        """Fit the trees of each stage."""
        method, stages = self.method, self.spec.stages
        observed = observe_target(method, self.spec, rows, gpu, stages)
        models = {
            name: TreeModel(self.features[name], _fit(self.features[name], each, self.seed))
            for name, each in observed.items()
        }
        return TreeEstimator(self.spec, gpu, models)


@dataclass(frozen=True)
class BoostedTrees:
    """Quantiles of each stage; the points are medians.

    Quantiles of the total are the sums of the stages', as if stages were slow together. Trees of
    the total itself, which must find out that it grows with the output, err twice as much.

    Attributes
    ----------
    name : str
    least_rows : int
    """

    name: str
    least_rows: int = 5

    def train(self, donors: Donors) -> TrainedBoostedTrees:
        """Take the scale of the knobs.

        Raises
        ------
        InputError
            If xgboost is not installed.
        """
        require("xgboost")
        return TrainedBoostedTrees(self, donors.spec, donors.features, donors.seed)


def _fit(features: KnobFeatures, observed: Observations, seed: int) -> Any:
    xgboost = require("xgboost")
    columns = xgboost.DMatrix(features.columns(observed.configs), observed.log_ms)
    parameters = {
        **_PARAMETERS,
        "objective": "reg:quantileerror",
        "quantile_alpha": list(LEVELS),
        "seed": seed,
    }
    return xgboost.train(parameters, columns, _ROUNDS)
