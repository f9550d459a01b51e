"""False accepts against false rejects: the guard beside the rules that it replaces."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayeslat.decisions.exceedance import ACCEPT
from bayeslat.evaluation.guardrail.operating_curve import (
    OperatingCurve,
    curve_band,
    operating_curve,
)
from bayeslat.evaluation.guardrail.rates import count_rate
from bayeslat.evaluation.guardrail.violations import GUARD, NO_GUARD, POINT_RULE, SOURCE_RULE

__all__ = ["MARGINS", "TradeOff", "trade_off"]

MARGINS = (1.0, 1.1, 1.25)
"""Of the marked points: accept if margin x prediction <= budget."""
_GRID = np.concatenate([[0.0], np.geomspace(0.001, 1.0, 40)])


@dataclass(frozen=True, eq=False)
class TradeOff:
    """What each rule does at every threshold, for one budget.

    Attributes
    ----------
    curves : mapping of rule to OperatingCurve
    bands : mapping of rule to DataFrame
        Of `curve_band`.
    points : DataFrame, one row a rule and threshold that is marked
        `rule`, `label`, `false_reject`, `false_accept`. The guard's point counts what it asks to
        measure as refused.
    over, within : int
        Configurations over the budget, and within it.
    """

    curves: Mapping[str, OperatingCurve]
    bands: Mapping[str, pd.DataFrame]
    points: pd.DataFrame
    over: int
    within: int


def trade_off(decisions: pd.DataFrame, max_risk: float, seed: int = 0) -> TradeOff:
    """Trace the trade-off of all rules over the same configurations.

    Parameters
    ----------
    decisions : DataFrame, one row a config
        Of `decide_fractions`, for one budget; `affine_ms` may be missing.
    max_risk : float
        Of the guard's marked point.
    seed : int
        Of the bands.

    Returns
    -------
    TradeOff
    """
    budget_ms = decisions["budget_ms"].to_numpy()
    over = decisions["measured_ms"].to_numpy() > budget_ms
    scores = {GUARD: decisions["p_exceed"].to_numpy()}
    for rule, name in ((POINT_RULE, "point_ms"), (SOURCE_RULE, "affine_ms")):
        if name in decisions and decisions[name].notna().all():
            scores[rule] = decisions[name].to_numpy() / budget_ms
    config = decisions["config"].to_numpy()
    return TradeOff(
        curves={rule: operating_curve(score, over) for rule, score in scores.items()},
        bands={
            rule: curve_band(score, over, config, _GRID, seed) for rule, score in scores.items()
        },
        points=pd.DataFrame(_points(decisions, scores, over, max_risk)),
        over=int(over.sum()),
        within=int((~over).sum()),
    )


def _points(
    decisions: pd.DataFrame,
    scores: Mapping[str, NDArray[np.float64]],
    over: NDArray[np.bool_],
    max_risk: float,
) -> Iterator[dict[str, Any]]:
    """Mark the thresholds that people use."""
    decided = (decisions["decision"] == ACCEPT).to_numpy()
    yield {"rule": GUARD, "label": f"max_risk {max_risk:g}", **_rates(decided, over)}
    for rule, score in scores.items():
        if rule != GUARD:
            for margin in MARGINS:
                yield {"rule": rule, "label": f"{margin:g}", **_rates(margin * score <= 1.0, over)}
    yield {"rule": NO_GUARD, "label": NO_GUARD, **_rates(np.ones(len(over), bool), over)}


def _rates(accepted: NDArray[np.bool_], over: NDArray[np.bool_]) -> dict[str, float]:
    bad, good = int(over.sum()), int((~over).sum())
    return {
        "false_reject": count_rate(int((~accepted & ~over).sum()), good).value,
        "false_accept": count_rate(int((accepted & over).sum()), bad).value,
    }
