"""Method `C_neural`: the source's network, fine-tuned on the calibration rows."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayeslat.evaluation.baselines.curves import CurveModel
from bayeslat.evaluation.baselines.donors import Donors
from bayeslat.evaluation.baselines.neural import NeuralCurve, quiet
from bayeslat.evaluation.baselines.observations import Observations, observe
from bayeslat.evaluation.baselines.point_estimator import PointEstimator
from bayeslat.features.hardware import Gpu
from bayeslat.features.spec import Spec

__all__ = ["FineTuned"]

type Values = NDArray[np.float64]

_STEPS = (5, 10, 35)
"""L-BFGS steps one after the other: stop after 5, 15 or 50. More of them forget the source."""
_FOLDS = 4
_LEAST_FOR_FOLDS = 8  # rows; fewer take the fewest steps


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
        observed = observe(
            self.spec,
            rows,
            gpu,
            self.models,
            least=self.method.least_rows,
            method=self.method.name,
        )
        tuned = {name: self._tune(name, each) for name, each in observed.items()}
        return PointEstimator(self.spec, gpu, tuned)

    def _tune(self, name: str, observed: Observations) -> CurveModel:
        model = self.models[name]
        features = model.features.columns(observed.configs)
        return replace(model, curve=_tune(self.curves[name], features, observed.log_ms, self.seed))


@dataclass(frozen=True)
class FineTuned:
    """Warm start: the output is shifted to the target's mean, then all weights move.

    Cross-validation on the calibration rows chooses how far.

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
        return _path(curve, features, log_ms)[0]
    fold = np.random.default_rng(seed).permutation(len(log_ms)) % _FOLDS
    errors = np.zeros(len(_STEPS))
    for left_out in range(_FOLDS):
        held = fold == left_out
        path = _path(curve, features[~held], log_ms[~held])
        errors += [np.sum((each(features[held]) - log_ms[held]) ** 2) for each in path]
    best = int(errors.argmin())
    return _path(curve, features, log_ms, best + 1)[best]


def _path(
    curve: NeuralCurve, features: Values, log_ms: Values, stops: int = len(_STEPS)
) -> list[NeuralCurve]:
    """Return the network at each stop of one training."""
    target = (log_ms - curve.centre) / curve.scale
    network = deepcopy(curve.network)
    network.intercepts_[-1] = network.intercepts_[-1] + np.mean(target - network.predict(features))
    found = []
    for steps in _STEPS[:stops]:
        network = deepcopy(network).set_params(warm_start=True, max_iter=steps)
        with quiet():
            network.fit(features, target)
        found.append(replace(curve, network=network))
    return found
