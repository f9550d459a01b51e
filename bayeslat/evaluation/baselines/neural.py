"""Source model `neural`: a network of three layers for the log of latency."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bayeslat.evaluation.baselines.libraries import require

__all__ = ["Neural", "NeuralCurve", "quiet"]

type Values = NDArray[np.float64]

_HIDDEN = (32, 32)
_ALPHAS = (0.1, 1.0)
_VALIDATED = 0.25  # part of the rows that chooses the penalty
_STEPS = 300


@dataclass(frozen=True, eq=False)
class NeuralCurve:
    """A fitted network.

    Attributes
    ----------
    network : sklearn.neural_network.MLPRegressor
        Of the standardised log latency.
    centre, scale : float
        Of the log latency.
    rows : int
        That it was fitted to.
    """

    network: Any
    centre: float
    scale: float
    rows: int

    def __call__(self, features: Values) -> Values:
        """Predict log latency. Shapes (config, feature) to (config,)."""
        if len(features) == 0:  # which scikit-learn refuses
            return np.empty(0)
        predicted: Values = self.centre + self.scale * self.network.predict(features)
        return predicted


@dataclass(frozen=True)
class Neural:
    """Two hidden layers of 32 tanh units, fitted by L-BFGS.

    A quarter of the rows chooses the weight decay; the network is then fitted to all rows. For
    some hundred rows this errs 40 % less than Adam that stops early.
    """

    def fit(self, features: Values, log_ms: Values, *, seed: int) -> NeuralCurve:
        """Fit. Shapes (row, feature) and (row,).

        Raises
        ------
        InputError
            If scikit-learn is not installed.
        """
        centre, scale = float(log_ms.mean()), float(log_ms.std()) or 1.0
        target = (log_ms - centre) / scale
        order = np.random.default_rng(seed).permutation(len(target))
        held, kept = np.split(order, [max(1, round(_VALIDATED * len(order)))])

        def error(alpha: float) -> float:
            network = _fit(features[kept], target[kept], alpha, seed)
            return float(np.mean((network.predict(features[held]) - target[held]) ** 2))

        best = min(_ALPHAS, key=error)
        return NeuralCurve(_fit(features, target, best, seed), centre, scale, len(target))


@contextmanager
def quiet() -> Iterator[None]:
    """Pass over the warning that an optimiser stopped at its limit, which is meant here."""
    warning = require("sklearn.exceptions").ConvergenceWarning
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", warning)
        yield


def _fit(features: Values, target: Values, alpha: float, seed: int) -> Any:
    network = require("sklearn.neural_network").MLPRegressor(
        hidden_layer_sizes=_HIDDEN,
        activation="tanh",
        solver="lbfgs",
        alpha=alpha,
        max_iter=_STEPS,
        random_state=seed,
    )
    with quiet():
        return network.fit(features, target)
