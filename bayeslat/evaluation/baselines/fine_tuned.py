"""Method `C_neural`: the source's network, fine-tuned on the calibration rows."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayeslat.evaluation.baselines.curves import CurveModel
from bayeslat.evaluation.baselines.donors import Donors
from bayeslat.evaluation.baselines.neural import NeuralCurve, quiet
from bayeslat.evaluation.baselines.observations import Observations, observe_target
from bayeslat.evaluation.baselines.point_estimator import PointEstimator
from bayeslat.evaluation.baselines.ridge_fit import fit_ridge
from bayeslat.features.hardware import Gpu
from bayeslat.features.spec import Spec

__all__ = ["FineTuned"]

type Values = NDArray[np.float64]

_HEAD_ALPHAS = tuple(np.logspace(-2, 3, 21).tolist())
_STEPS = (5, 10, 35)
"""L-BFGS steps of all weights, one after the other: stop after 0, 5, 15 or 50."""
_FOLDS = 4
_LEAST_FOR_FOLDS = 8  # rows; with fewer the output layer alone moves


@dataclass(frozen=True)
class TrainedFineTuned:
    """See `FineTuned`."""

    method: FineTuned
    spec: Spec
    models: dict[str, CurveModel]
    curves: dict[str, NeuralCurve]
    seed: int
    note: str = "source model neural"

    def calibrate(self, rows: pd.DataFrame, gpu: Gpu) -> PointEstimator:
        """Go on with the training of each stage's network."""
        observed = observe_target(self.method, self.spec, rows, gpu, self.models)
        tuned = {name: self._tune(name, each) for name, each in observed.items()}
        return PointEstimator(self.spec, gpu, tuned)

    def _tune(self, name: str, observed: Observations) -> CurveModel:
        model = self.models[name]
        features = model.features.columns(observed.configs)
        return replace(model, curve=_tune(self.curves[name], features, observed.log_ms, self.seed))


@dataclass(frozen=True)
class FineTuned:
    """Warm start: the output layer is fitted to the target by ridge, then all weights move.

    Cross-validation on the calibration rows chooses how far, if at all: with few rows, a network
    forgets the source before it learns the target.

    Attributes
    ----------
    name : str
    least_rows : int
    """

    name: str
    least_rows: int = 2

    def train(self, donors: Donors) -> TrainedFineTuned:
        """Fit the source's networks.

        Raises
        ------
        InputError
            If scikit-learn is not installed.
        """
        models = dict(donors.source_model("neural").models)
        curves = {
            name: model.curve
            for name, model in models.items()
            if isinstance(model.curve, NeuralCurve)
        }
        return TrainedFineTuned(self, donors.spec, models, curves, donors.seed)


def _tune(curve: NeuralCurve, features: Values, log_ms: Values, seed: int) -> NeuralCurve:
    """Fine-tune as far as left-out rows get better. Shapes (row, feature), (row,)."""
    if len(log_ms) < _LEAST_FOR_FOLDS:
        return _path(curve, features, log_ms, ())[0]
    fold = np.random.default_rng(seed).permutation(len(log_ms)) % _FOLDS
    errors = np.zeros(1 + len(_STEPS))
    for left_out in range(_FOLDS):
        held = fold == left_out
        path = _path(curve, features[~held], log_ms[~held], _STEPS)
        errors += [np.sum((each(features[held]) - log_ms[held]) ** 2) for each in path]
    return _path(curve, features, log_ms, _STEPS[: int(errors.argmin())])[-1]


def _path(
    curve: NeuralCurve, features: Values, log_ms: Values, steps: tuple[int, ...]
) -> list[NeuralCurve]:
    """Return the network with its new output layer, and then after each of the steps."""
    target = (log_ms - curve.centre) / curve.scale
    found = [replace(curve, network=_fit_head(curve.network, features, target))]
    # scikit-learn divides the decay by the rows: this keeps it as strong as it was on the source.
    alpha = curve.network.alpha * len(target) / curve.rows
    for count in steps:
        network = deepcopy(found[-1].network)
        network.set_params(warm_start=True, max_iter=count, alpha=alpha)
        with quiet():
            network.fit(features, target)
        found.append(replace(curve, network=network))
    return found


def _fit_head(network: Any, features: Values, target: Values) -> Any:
    """Move the output layer from the source's: the departure is shrunk. Shapes (row, ...)."""
    units = features
    for weights, bias in zip(network.coefs_[:-1], network.intercepts_[:-1], strict=True):
        units = np.tanh(units @ weights + bias)
    fit = fit_ridge(units, target - network.predict(features), _HEAD_ALPHAS)
    moved = deepcopy(network)
    moved.coefs_[-1] = moved.coefs_[-1] + fit.coefficients[:, None]
    moved.intercepts_[-1] = moved.intercepts_[-1] + fit.intercept
    return moved
