"""The models of llm-d's latency predictor, for comparison: boosted trees and Bayesian ridge.

As its training server has them (gateway-api-inference-extension, `latencypredictor`): one model of
the time to the first token and one of the time per output token, of the 0.9 quantile; XGBoost with
a quantile objective, or Bayesian ridge on standardised columns, whose quantile is the mean and 1.28
predictive sd. They train on the rows of one pool of like servers, here of one GPU, and see the
knobs as they are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import xgboost
from numpy.typing import NDArray
from scipy.special import ndtri
from sklearn.linear_model import BayesianRidge
from sklearn.preprocessing import StandardScaler

__all__ = ["QUANTILE", "RIVALS", "Rival"]

type Values = NDArray[np.float64]

QUANTILE = 0.9
_TREES = {
    "n_estimators": 200,
    "max_depth": 6,
    "learning_rate": 0.05,
    "subsample": 0.8,
    "colsample_bytree": 0.8,
    "min_child_weight": 5,
    "gamma": 0.2,
    "reg_alpha": 0.01,
    "reg_lambda": 0.1,
    "objective": "reg:quantileerror",
    "tree_method": "hist",
    "random_state": 42,
    "n_jobs": 1,
}


@dataclass(frozen=True)
class Rival:
    """One latency's model.

    Attributes
    ----------
    predict : callable
        From knobs, shape (config, knob), to a quantile of latency in ms, shape (config,).
    """

    predict: Callable[[Values], Values]


def fit_trees(knobs: Values, latency_ms: Values, quantile: float) -> Rival:
    """Fit boosted trees to a quantile."""
    model: Any = xgboost.XGBRegressor(**_TREES, quantile_alpha=quantile)
    model.fit(knobs, latency_ms)
    return Rival(lambda configs: np.asarray(model.predict(configs), dtype=float))


def fit_ridge(knobs: Values, latency_ms: Values, quantile: float) -> Rival:
    """Fit Bayesian ridge; a quantile is the mean and as many predictive sd as a normal's."""
    scaler, model = StandardScaler(), BayesianRidge(compute_score=True)
    model.fit(scaler.fit_transform(knobs), latency_ms)
    reach = float(ndtri(quantile))

    def predict(configs: Values) -> Values:
        mean, sd = model.predict(scaler.transform(configs), return_std=True)
        return np.asarray(mean + reach * sd, dtype=float)

    return Rival(predict)


RIVALS: dict[str, Callable[[Values, Values, float], Rival]] = {
    "boosted trees": fit_trees,
    "Bayesian ridge": fit_ridge,
}
"""By name: functions of knobs (row, knob), latency in ms (row,) and a quantile."""
