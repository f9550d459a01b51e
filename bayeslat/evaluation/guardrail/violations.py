"""How often the budget is violated, with the guard, with other rules and without any."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayeslat.decisions.exceedance import ACCEPT, MEASURE
from bayeslat.evaluation.guardrail.rates import count_rate

__all__ = ["GUARD", "MARGIN", "NO_GUARD", "POINT_RULE", "SOURCE_RULE", "budget_violations"]

NO_GUARD, GUARD = "no guardrail", "guardrail"
POINT_RULE, SOURCE_RULE = "margin on the point", "margin on the affine estimator"
MARGIN = 1.1
"""Of the stage-estimator document's rule: accept if 1.1 x prediction <= budget."""


def budget_violations(decisions: pd.DataFrame) -> pd.DataFrame:
    """Count violations among the accepted configurations, budget by budget and rule by rule.

    Parameters
    ----------
    decisions : DataFrame, one row a config and budget
        `config` (equal numbers, equal knobs), `fraction`, `budget_ms`, `decision`, `point_ms`,
        `measured_ms`, and `affine_ms` where there is an affine estimator.

    Returns
    -------
    DataFrame, one row a budget fraction and rule
        `fraction`, `budget_ms`, `rule`, `configs`, `over` (configs over the budget), `accepts`,
        `violations` (accepted and over), `violation_rate` (of the accepted; NaN if none is),
        `violation_low`, `violation_high` (its 95 % interval, as of so many configs as are accepted
        at all: those that several trials hold out count once), `false_accept` (of those over),
        `false_reject` (within the budget and not accepted, of those within), `measure` (part
        that is to be measured first).
    """
    rows = [row for _, part in decisions.groupby("fraction", sort=True) for row in _rules(part)]
    return pd.DataFrame(rows)


def _rules(part: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Count what each rule does with one budget."""
    fraction, budget_ms = (float(part[name].iloc[0]) for name in ("fraction", "budget_ms"))
    over = part["measured_ms"].to_numpy() > budget_ms
    accepted = {
        NO_GUARD: np.ones(len(part), dtype=bool),
        GUARD: (part["decision"] == ACCEPT).to_numpy(),
        POINT_RULE: MARGIN * part["point_ms"].to_numpy() <= budget_ms,
    }
    if "affine_ms" in part and part["affine_ms"].notna().all():
        accepted[SOURCE_RULE] = MARGIN * part["affine_ms"].to_numpy() <= budget_ms
    measure = float((part["decision"] == MEASURE).mean())
    for rule, chosen in accepted.items():
        yield {
            "fraction": fraction,
            "budget_ms": budget_ms,
            "rule": rule,
            **_count(chosen, over, part["config"].to_numpy()),
            "measure": measure if rule == GUARD else 0.0,
        }


def _count(
    accepted: NDArray[np.bool_], over: NDArray[np.bool_], config: NDArray[np.int64]
) -> dict[str, Any]:
    wrong, distinct = int((accepted & over).sum()), len(np.unique(config[accepted]))
    violations = count_rate(wrong, int(accepted.sum()), distinct)
    within = int((~over).sum())
    return {
        "configs": len(over),
        "over": int(over.sum()),
        "accepts": violations.of,
        "violations": violations.count,
        "violation_rate": violations.value,
        "violation_low": violations.low,
        "violation_high": violations.high,
        "false_accept": count_rate(violations.count, int(over.sum())).value,
        "false_reject": count_rate(int((~accepted & ~over).sum()), within).value,
    }
