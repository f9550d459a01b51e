"""Methods `hfd_tl_ridge`, `hfd_tl_ard`: donors' base and config features; the target fits [1, x^2].

Hierarchical feature decomposition with transfer learning: the coefficients of the base features
(physics normalised by the hardware) and of the configuration features are those of a regression on
all donors, frozen; the target fits the residual in ms. By ridge, as published, or with automatic
relevance determination, as the notes' summary recommends.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayeslat.evaluation.baselines.curves import Curve
from bayeslat.evaluation.baselines.donors import Donors
from bayeslat.evaluation.baselines.knob_features import KnobFeatures
from bayeslat.evaluation.baselines.observations import Observations, observe_target
from bayeslat.evaluation.baselines.point_estimator import PointEstimator
from bayeslat.evaluation.baselines.ridge_fit import fit_ridge
from bayeslat.features.design import stage_inputs
from bayeslat.features.hardware import Gpu
from bayeslat.features.spec import Spec

__all__ = ["HierarchicalTransfer", "Regression", "RidgeChoice"]

type Values = NDArray[np.float64]


class Regression(Protocol):
    """A way of linear regression, in ms."""

    def fit(self, columns: Values, target: Values, weights: Values) -> Curve:
        """Fit with weights of squared errors. Shapes (row, column), (row,) and (row,)."""
        ...


@dataclass(frozen=True)
class RidgeChoice:
    """Ridge, its penalty chosen by leaving each row out.

    Attributes
    ----------
    alphas : tuple of float
    """

    alphas: tuple[float, ...]

    def fit(self, columns: Values, target: Values, weights: Values) -> Curve:
        """Fit with weights of squared errors. Shapes (row, column), (row,) and (row,)."""
        return fit_ridge(columns, target, self.alphas, weights)


@dataclass(frozen=True)
class StageBase:
    """Frozen coefficients of one stage.

    Attributes
    ----------
    spec : Spec
    stage : str
    features : KnobFeatures
        The configuration features.
    scale_ms : ndarray, shape (term,)
        What the base features, the physics terms at data-sheet peaks, are divided by.
    largest_ms : float
        Largest physics of the donors: what the load x is relative to.
    base : Curve
        In ms.
    floor_ms : float
    """

    spec: Spec
    stage: str
    features: KnobFeatures
    scale_ms: Values
    largest_ms: float
    base: Curve
    floor_ms: float

    def base_ms(self, configs: pd.DataFrame, gpu: Gpu) -> Values:
        """What the frozen coefficients predict. Shape (config,)."""
        terms = stage_inputs(self.spec, self.stage, configs, gpu).terms_ms
        return self.base(_columns(terms / self.scale_ms, self.features, configs))

    def residual_features(self, configs: pd.DataFrame, gpu: Gpu) -> Values:
        """x^2, with the load x: physics over the largest of the donors. Shape (config, 1)."""
        terms = stage_inputs(self.spec, self.stage, configs, gpu).terms_ms
        load = terms.sum(axis=1, keepdims=True) / self.largest_ms
        squared: Values = load**2
        return squared


@dataclass(frozen=True)
class TargetStage:
    """A stage of the target.

    Attributes
    ----------
    stage : StageBase
    gpu : Gpu
    residual : Curve or None
        None without measurements.
    floor_ms : float
        Predictions below it are raised to it.
    """

    stage: StageBase
    gpu: Gpu
    residual: Curve | None
    floor_ms: float

    def ms(self, configs: pd.DataFrame) -> Values:
        """Latency in ms. Shape (config,)."""
        latency = self.stage.base_ms(configs, self.gpu)
        if self.residual is not None:
            latency = latency + self.residual(self.stage.residual_features(configs, self.gpu))
        return np.maximum(latency, self.floor_ms)


@dataclass(frozen=True)
class TrainedHierarchicalTransfer:
    """See `HierarchicalTransfer`."""

    method: HierarchicalTransfer
    spec: Spec
    stages: Mapping[str, StageBase]
    note: str

    def calibrate(self, rows: pd.DataFrame, gpu: Gpu) -> PointEstimator:
        """Fit the residual of each stage."""
        method = self.method
        observed = observe_target(method, self.spec, rows, gpu, self.stages)
        models = {
            name: _calibrate(self.stages[name], each, gpu, method.residual)
            for name, each in observed.items()
        }
        return PointEstimator(self.spec, gpu, models)


@dataclass(frozen=True)
class HierarchicalTransfer:
    """Regression in ms, with ridge's penalties as published, and relative errors.

    Base features are the spec's physics terms at the GPU's data-sheet peaks, configuration
    features the stage's knobs. Squares of relative errors are added up: those in ms, as
    published, leave the short latencies to chance. Without rows the residual is 0.

    Attributes
    ----------
    name : str
    base, residual : Regression
        Of the donors, and of the target.
    least_rows : int
    """

    name: str
    base: Regression = RidgeChoice((0.01, 0.1, 1.0, 10.0))
    residual: Regression = RidgeChoice((0.1, 1.0, 10.0, 100.0))
    least_rows: int = 0

    def train(self, donors: Donors) -> TrainedHierarchicalTransfer:
        """Fit base and configuration coefficients to all donors."""
        stages = {name: self._fit(name, donors) for name in donors.spec.stages}
        gpus = list(dict.fromkeys(donors.rows["gpu"]))
        return TrainedHierarchicalTransfer(
            self, donors.spec, stages, f"coefficients of {', '.join(gpus)}"
        )

    def _fit(self, stage: str, donors: Donors) -> StageBase:
        spec, features = donors.spec, donors.features[stage]
        terms, configs, ms = [], [], []
        for gpu, each in donors.of_stage(stage, self.name):
            terms.append(stage_inputs(spec, stage, each.configs, gpu).terms_ms)
            configs.append(features.columns(each.configs))
            ms.append(each.ms)
        physics, target = np.concatenate(terms), np.concatenate(ms)
        sd = physics.std(axis=0)
        scale = np.where(sd > 1e-12 * physics.max(), sd, 1.0)
        columns = np.concatenate([physics / scale, np.concatenate(configs)], axis=1)
        base = self.base.fit(columns, target, 1.0 / target**2)
        largest = float(physics.sum(axis=1).max())
        return StageBase(spec, stage, features, scale, largest, base, 0.5 * float(target.min()))


def _calibrate(
    stage: StageBase, observed: Observations, gpu: Gpu, regression: Regression
) -> TargetStage:
    """Fit the residual to the target's rows, if there are any."""
    if len(observed.ms) == 0:
        return TargetStage(stage, gpu, None, stage.floor_ms)
    missed = observed.ms - stage.base_ms(observed.configs, gpu)
    columns = stage.residual_features(observed.configs, gpu)
    residual = regression.fit(columns, missed, 1.0 / observed.ms**2)
    return TargetStage(stage, gpu, residual, observed.floor_ms)


def _columns(base: Values, features: KnobFeatures, configs: pd.DataFrame) -> Values:
    """Base, then configuration features. Shape (config, feature)."""
    return np.concatenate([base, features.columns(configs)], axis=1)
