"""How far a bundle's reader and the posterior agree, over the configurations of the fit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bayeslat.decisions.guard import Budget, Guard
from bayeslat.decisions.predict import predict
from bayeslat.export import guard_reader
from bayeslat.features.hardware import Gpu
from bayeslat.inference.new_tasks import grid_of_tasks
from bayeslat.inference.posterior import PosteriorData

__all__ = ["check_agreement"]

_BUDGETS = (0.05, 0.2, 0.35, 0.5, 0.65, 0.8, 0.95)  # quantiles of the totals
_MAX_RISK = 0.05


def check_agreement(
    header: Mapping[str, Any],
    arrays: Mapping[str, NDArray[Any]],
    data: PosteriorData,
    gpu: Gpu,
    stack: str | None,
    seed: int,
) -> dict[str, Any]:
    """Decide about the knob grid by a bundle and by its posterior.

    Parameters
    ----------
    header, arrays
        The bundle's.
    data : PosteriorData
    gpu : Gpu
    stack : str or None
    seed : int

    Returns
    -------
    dict
        `configs` and `budgets` that were decided about; the largest difference in `p_exceed`, and
        that which 99 % of them keep, `p_exceed_99`; the part of the `decisions` that are the same.
    """
    configs = grid_of_tasks(data)
    prediction = predict(data, configs, gpu, stack=stack, seed=seed)
    typical = np.median(prediction.typical(), axis=1)
    reader = guard_reader.GuardBundle(header, arrays)
    columns = {str(name): configs[name].to_numpy() for name in configs}
    differences, same = [], []
    for budget in np.quantile(typical, _BUDGETS):
        guard = Guard(data, gpu, (Budget(float(budget)),), _MAX_RISK, stack, seed=seed)
        expected = guard.judge(prediction).decide(_MAX_RISK)
        decisions, p_exceed = reader.decide(columns, float(budget), _MAX_RISK)
        differences.append(np.abs(p_exceed - expected["p_exceed"].to_numpy()))
        same.append(decisions == expected["decision"].to_numpy())
    return {
        "configs": len(configs),
        "budgets": len(_BUDGETS),
        "p_exceed": float(np.max(differences)),
        "p_exceed_99": float(np.quantile(differences, 0.99)),
        "decisions": float(np.mean(same)),
    }
