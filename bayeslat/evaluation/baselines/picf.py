"""Methods `picf` and `picf_relative`: physics-informed features of a server, one ridge a stage.

Idea 1 of the notes on serving ("physics-informed constant features"): the latency of a stage in ms
is linear in eight features of the batch, the queue and the data sheet; a model for each type of
hardware. The notes' code drops the intercept of the ridge; here it stays.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayeslat.evaluation.baselines.donors import LEAST_OWN_ROWS, LEAST_SOURCE_ROWS, Donors
from bayeslat.evaluation.baselines.observations import Observations, observe, observe_target
from bayeslat.evaluation.baselines.point_estimator import PointEstimator
from bayeslat.evaluation.baselines.ridge_fit import RidgeFit, fit_ridge
from bayeslat.evaluation.baselines.serving_features import (
    QUEUEING,
    STEP,
    evaluate_features,
    missing_inputs,
    serving_symbols,
)
from bayeslat.features.expressions import Expression
from bayeslat.features.hardware import Gpu
from bayeslat.features.spec import Spec

__all__ = ["FEATURES", "Picf"]

type Values = NDArray[np.float64]

FEATURES: Mapping[str, tuple[Expression, ...]] = MappingProxyType(
    {
        QUEUEING: (
            Expression("q"),
            Expression("q ** 2 / srv"),
            Expression("k"),
            Expression("k * q"),
            Expression("prompt / max_batch_tokens"),
            Expression("prompt * running / max_batch_tokens"),
            Expression("1 / max_seqs"),
            Expression("chunked > 0"),
        ),
        STEP: (
            Expression("pf * fpt / tflops"),
            Expression("pf ** 2 / (tp * tflops)"),
            Expression("dc * kv_per_token / bw"),
            Expression("dc * running"),
            Expression("pf * dc / batch_tokens ** 2"),
            Expression("experts_per_tok * dc / bw"),
            Expression("batch_tokens / (tp * sms)"),
            Expression("kv * dc"),
        ),
    }
)
"""Of each stage, in the notes' symbols."""

_ALPHAS = (0.01, 0.1, 1.0, 10.0)
_VALIDATED = 0.2
_STEP_ID = "step_id"


@dataclass(frozen=True)
class PicfModel:
    """A stage on a GPU.

    Attributes
    ----------
    spec : Spec
    gpu : Gpu
    stage : str
    ridge : RidgeFit
        Of the features as they are: coefficients are divided by the scale.
    floor_ms : float
        Predictions below it are raised to it.
    """

    spec: Spec
    gpu: Gpu
    stage: str
    ridge: RidgeFit
    floor_ms: float

    def ms(self, configs: pd.DataFrame) -> Values:
        """Latency in ms. Shape (config,)."""
        symbols = serving_symbols(self.spec, configs, self.gpu)
        latency = self.ridge(evaluate_features(FEATURES[self.stage], symbols))
        return np.maximum(latency, self.floor_ms)


@dataclass(frozen=True)
class TrainedPicf:
    """See `Picf`."""

    method: Picf
    spec: Spec
    source: Mapping[str, PicfModel]
    note: str

    def calibrate(self, rows: pd.DataFrame, gpu: Gpu) -> PointEstimator:
        """Fit the target's own rows where there are enough; else take the source's model."""
        method = self.method
        observed = observe_target(method, self.spec, rows, gpu, self.source)
        models = {
            name: method.fit(self.spec, name, each, gpu)
            if len(each.ms) >= LEAST_OWN_ROWS
            else replace(self.source[name], gpu=gpu)
            for name, each in observed.items()
        }
        return PointEstimator(self.spec, gpu, models)


@dataclass(frozen=True)
class Picf:
    """Ridge in ms on standardised features, its penalty chosen by the later part of the rows.

    A model belongs to a type of hardware, and none is carried over: with fewer than
    `LEAST_OWN_ROWS` rows of a stage, the source's coefficients predict the target, with the
    target's data sheet in the features.

    Attributes
    ----------
    name : str
    relative : bool
        Whether squares of relative errors are added up, and not of ms, as published.
    least_rows : int
    """

    name: str
    relative: bool = False
    least_rows: int = 0

    def lacks(self, spec: Spec) -> str:
        """What a spec has to have and does not."""
        return missing_inputs(spec)

    def train(self, donors: Donors) -> TrainedPicf:
        """Fit the source."""
        spec, gpu = donors.spec, donors.source_gpu
        rows = donors.rows[donors.rows["gpu"] == gpu.key]
        observed = observe(
            spec, rows, gpu, spec.stages, least=LEAST_SOURCE_ROWS, method=f"{self.name}, source"
        )
        source = {name: self.fit(spec, name, each, gpu) for name, each in observed.items()}
        return TrainedPicf(
            self, spec, source, f"coefficients of {gpu.key} below {LEAST_OWN_ROWS} rows of a stage"
        )

    def fit(self, spec: Spec, stage: str, observed: Observations, gpu: Gpu) -> PicfModel:
        """Fit the rows of one stage of a GPU."""
        columns = evaluate_features(FEATURES[stage], serving_symbols(spec, observed.configs, gpu))
        weights = observed.ms**-2.0 if self.relative else np.ones(len(observed.ms))
        order = _in_time(observed.configs)
        ridge = _fit_in_time(columns[order], observed.ms[order], weights[order])
        return PicfModel(spec, gpu, stage, ridge, observed.floor_ms)


def _fit_in_time(columns: Values, ms: Values, weights: Values) -> RidgeFit:
    """Choose the penalty by the later rows, and fit all of them with it. Rows are in time."""
    early = slice(None, len(ms) - max(1, round(_VALIDATED * len(ms))))
    late = slice(early.stop, None)

    def miss(alpha: float) -> float:
        ridge = _fit_scaled(columns[early], ms[early], weights[early], alpha)
        return float(np.average((ms[late] - ridge(columns[late])) ** 2, weights=weights[late]))

    return _fit_scaled(columns, ms, weights, min(_ALPHAS, key=miss))


def _fit_scaled(columns: Values, ms: Values, weights: Values, alpha: float) -> RidgeFit:
    """Fit standardised columns, and return coefficients of the columns as they are."""
    sd = columns.std(axis=0)
    scale = np.where(sd > 1e-12 * np.abs(columns).max(axis=0), sd, 1.0)
    ridge = fit_ridge(columns / scale, ms, (alpha,), weights)
    return replace(ridge, coefficients=ridge.coefficients / scale)


def _in_time(configs: pd.DataFrame) -> NDArray[np.int64]:
    """Order rows by the engine's number of their step; those without one as they come."""
    if _STEP_ID not in configs or configs[_STEP_ID].isna().any():
        return np.arange(len(configs))
    return np.argsort(configs[_STEP_ID].to_numpy(), kind="stable")
