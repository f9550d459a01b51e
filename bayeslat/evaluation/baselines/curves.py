"""A regression of log latency on features, by whatever method, and the latency it predicts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayeslat.evaluation.baselines.knob_features import KnobFeatures

__all__ = ["Curve", "CurveModel", "Learner", "to_ms"]

type Values = NDArray[np.float64]

_LOG_LIMIT = 30.0
"""Logs of latency are cut here, at 300 years and their inverse: extrapolation stays finite."""


class Curve(Protocol):
    """A fitted regression."""

    def __call__(self, features: Values) -> Values:
        """Predict what was fitted, mostly log latency. Shapes (config, feature) to (config,)."""
        ...


class Learner(Protocol):
    """A way of regression."""

    def fit(self, features: Values, log_ms: Values, *, seed: int) -> Curve:
        """Fit. Shapes (row, feature) and (row,)."""
        ...


@dataclass(frozen=True)
class CurveModel:
    """A point model that predicts the log of a latency from the knobs.

    Attributes
    ----------
    features : KnobFeatures
    curve : Curve
    """

    features: KnobFeatures
    curve: Curve

    def log_ms(self, configs: pd.DataFrame) -> Values:
        """Log latency. Shape (config,)."""
        return self.curve(self.features.columns(configs))

    def ms(self, configs: pd.DataFrame) -> Values:
        """Latency in ms. Shape (config,)."""
        return to_ms(self.log_ms(configs))


def to_ms(log_ms: Values) -> Values:
    """Return latencies of their logs, positive and finite. Any shape."""
    latency: Values = np.exp(np.clip(log_ms, -_LOG_LIMIT, _LOG_LIMIT))
    return latency
