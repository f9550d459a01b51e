"""What decisions about measured configurations say of the guardrail, and of the rules beside it."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from bayeslat.decisions.guard import Budget
from bayeslat.evaluation.guardrail.reliability import pit_histogram, reliability
from bayeslat.evaluation.guardrail.trade_off import TradeOff, trade_off
from bayeslat.evaluation.guardrail.violations import budget_violations

__all__ = ["GuardrailAnalysis", "analyse_decisions"]


@dataclass(frozen=True, eq=False)
class GuardrailAnalysis:
    """What the decisions say.

    Attributes
    ----------
    trade_off : TradeOff
        False accepts against false rejects, for the whole budget.
    reliability : DataFrame, one row a bin of p_exceed
        Of `reliability`, for the whole budget.
    pit : DataFrame or None, one row a bin
        Of `pit_histogram`, of what the budget is for; None where single runs were not predicted.
    violations : DataFrame, one row a budget fraction and rule
        Of `budget_violations`.
    """

    trade_off: TradeOff
    reliability: pd.DataFrame
    pit: pd.DataFrame | None
    violations: pd.DataFrame


def analyse_decisions(
    decisions: pd.DataFrame,
    scatter: pd.DataFrame | None,
    budget: Budget,
    max_risk: float,
    seed: int = 0,
) -> GuardrailAnalysis:
    """Compare decisions with what was measured.

    Parameters
    ----------
    decisions : DataFrame, one row a config and budget fraction
        Of `Trials` or `decide_fractions`.
    scatter : DataFrame or None, one row a config and stage
        Of `Trials`: predictions of the same configurations beside measurements.
    budget : Budget
    max_risk : float
        The guard's own.
    seed : int
        Of the bands.

    Returns
    -------
    GuardrailAnalysis
    """
    at_budget = decisions[decisions["fraction"] == 1.0]
    once = at_budget.drop_duplicates("config")  # trials may hold the same ones out
    pit = None
    if scatter is not None:
        own = scatter[scatter["stage"] == str(budget)].drop_duplicates("config")
        pit = pit_histogram(own["pit"].to_numpy())
    return GuardrailAnalysis(
        trade_off=trade_off(at_budget, max_risk, seed),
        reliability=reliability(
            once["p_exceed"].to_numpy(), (once["measured_ms"] > once["budget_ms"]).to_numpy()
        ),
        pit=pit,
        violations=budget_violations(decisions),
    )
