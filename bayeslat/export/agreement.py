"""How far a bundle's reader and the posterior agree, over the configurations of the fit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayeslat.decisions.guard import Budget, Guard
from bayeslat.decisions.prediction import Prediction
from bayeslat.decisions.run_exceeds import exceed_given
from bayeslat.export import guard_reader
from bayeslat.features.hardware import Gpu
from bayeslat.inference.posteriors.posterior import PosteriorData

__all__ = ["Answers", "answer", "check_agreement"]

_BUDGETS = (0.05, 0.2, 0.35, 0.5, 0.65, 0.8, 0.95)  # quantiles of the totals
_NEAR = (0.94, 0.98, 1.0, 1.02, 1.06)  # of a config's own median: few totals are near a quantile
_MAX_RISK = 0.05


@dataclass(frozen=True)
class Answers:
    """What a posterior decides.

    Attributes
    ----------
    configs : DataFrame, one row a config
    decisions : dict of float to DataFrame
        By the budget in ms, as `Guard` has them.
    near : tuple of (ndarray, ndarray), each of shape (config,)
        A budget in ms near each config's own total, and p_exceed.
    """

    configs: pd.DataFrame
    decisions: dict[float, pd.DataFrame]
    near: tuple[tuple[NDArray[np.float64], NDArray[np.float64]], ...]


def answer(
    data: PosteriorData,
    gpu: Gpu,
    stack: str | None,
    configs: pd.DataFrame,
    prediction: Prediction,
    seed: int,
) -> Answers:
    """Decide by a posterior, at several budgets.

    Parameters
    ----------
    data : PosteriorData
    gpu : Gpu
    stack : str or None
    configs : DataFrame, one row a config
    prediction : Prediction
        Of the configs.
    seed : int

    Returns
    -------
    Answers
    """
    typical = np.median(prediction.typical(), axis=1)
    decisions = {}
    for budget in np.quantile(typical, _BUDGETS).tolist():
        guard = Guard(data, gpu, (Budget(budget),), _MAX_RISK, stack, seed=seed)
        decisions[budget] = guard.judge(prediction).decide(_MAX_RISK)
    stages, correlation = list(prediction.stages.values()), prediction.noise_correlation
    near = tuple(
        (budgets, exceed_given(stages, budgets, correlation).mean(axis=1))
        for budgets in (factor * typical for factor in _NEAR)
    )
    return Answers(configs, decisions, near)


def check_agreement(
    header: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]], answers: Answers
) -> dict[str, Any]:
    """Compare a bundle's decisions with its posterior's.

    Parameters
    ----------
    header, arrays
        The bundle's.
    answers : Answers

    Returns
    -------
    dict
        `configs` and `budgets` that were decided about; the largest difference in `p_exceed`, of
        these and of budgets near each config's own total, and that which 99 % of them keep,
        `p_exceed_99`; the part of the `decisions` that are the same.
    """
    reader = guard_reader.GuardBundle(header, arrays)
    columns = {str(name): column.to_numpy() for name, column in answers.configs.items()}
    differences, same = [], []
    for budget, expected in answers.decisions.items():
        decisions, p_exceed = reader.decide(columns, budget, _MAX_RISK)
        differences.append(np.abs(p_exceed - expected["p_exceed"].to_numpy()))
        same.append(decisions == expected["decision"].to_numpy())
    for budgets, chances in answers.near:
        differences.append(np.abs(reader.decide(columns, budgets, _MAX_RISK)[1] - chances))
    return {
        "configs": len(answers.configs),
        "budgets": len(_BUDGETS),
        "p_exceed": float(np.max(differences)),
        "p_exceed_99": float(np.quantile(differences, 0.99)),
        "decisions": float(np.mean(same)),
    }
