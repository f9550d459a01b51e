"""The guard's decisions for the budget that was given, and for tighter ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayeslat.decisions.guard import Guard
from bayeslat.decisions.prediction import Prediction

__all__ = ["FRACTIONS", "decide_fractions"]

FRACTIONS = (0.5, 0.7, 0.85, 1.0)
"""Of the budget: those of the stage-estimator document."""


def decide_fractions(
    guard: Guard,
    prediction: Prediction,
    measured_ms: NDArray[np.float64],
    points_ms: Mapping[str, NDArray[np.float64]],
) -> pd.DataFrame:
    """Decide about measured configurations, budget by budget.

    Parameters
    ----------
    guard : Guard
        Whose budgets are scaled.
    prediction : Prediction
        Of the configurations, of what the guard's budget is for.
    measured_ms : ndarray, shape (config,)
        What has to keep the budget. Configs without it (NaN) are left out.
    points_ms : mapping of name to ndarray, shape (config,)
        Points of the same, to be kept beside the decisions.

    Returns
    -------
    DataFrame, one row a budget fraction and config
        `config` (its position), `fraction`, `budget_ms` (of the guard's first budget), `p_exceed`,
        `decision`, `measured_ms`, and the points.
    """
    held = ~np.isnan(measured_ms)
    tables = []
    for fraction in FRACTIONS:
        budgets = tuple(replace(each, ms=fraction * each.ms) for each in guard.budgets)
        found = replace(guard, budgets=budgets).judge(prediction).decide(guard.max_risk)
        columns = {
            "config": np.arange(len(measured_ms)),
            "fraction": fraction,
            "budget_ms": budgets[0].ms,
            "p_exceed": found["p_exceed"],
            "decision": found["decision"],
            "measured_ms": measured_ms,
            **points_ms,
        }
        tables.append(pd.DataFrame(columns)[held])
    return pd.concat(tables, ignore_index=True)
