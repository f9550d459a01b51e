"""Violations, counted by hand."""

from __future__ import annotations

import math

import pandas as pd
import pytest

from bayeslat.evaluation.guardrail.rates import count_rate
from bayeslat.evaluation.guardrail.violations import (
    GUARD,
    NO_GUARD,
    POINT_RULE,
    SOURCE_RULE,
    budget_violations,
)


def make_decisions(fraction: float = 1.0, budget_ms: float = 100.0) -> pd.DataFrame:
    """Five configs: two over the budget of 100 ms."""
    return pd.DataFrame(
        {
            "config": range(5),
            "fraction": fraction,
            "budget_ms": budget_ms,
            "measured_ms": [50.0, 90.0, 100.0, 101.0, 200.0],  # 100 is within
            "point_ms": [50.0, 95.0, 80.0, 90.0, 210.0],  # times 1.1: 55, 104.5, 88, 99, 231
            "affine_ms": [40.0, 60.0, 95.0, 70.0, 85.0],
            "decision": ["accept", "accept", "measure", "reject", "accept"],
        }
    )


def row_of(table: pd.DataFrame, rule: str) -> dict[str, float]:
    [row] = table[table["rule"] == rule].to_dict("records")
    return {str(name): value for name, value in row.items()}


def test_each_rule_is_counted() -> None:
    table = budget_violations(make_decisions())
    assert set(table["rule"]) == {NO_GUARD, POINT_RULE, GUARD, SOURCE_RULE}
    assert (table[["configs", "over"]] == [5, 2]).all(axis=None)
    expected = {  # accepts, violations, false accepts of those over, false rejects, measure
        NO_GUARD: (5, 2, 1.0, 0.0, 0.0),
        POINT_RULE: (3, 1, 0.5, 1 / 3, 0.0),
        GUARD: (3, 1, 0.5, 1 / 3, 0.2),  # what it asks to measure is not accepted
        SOURCE_RULE: (4, 2, 1.0, 1 / 3, 0.0),
    }
    for rule, (accepts, violations, false_accept, false_reject, measure) in expected.items():
        row = row_of(table, rule)
        assert (row["accepts"], row["violations"]) == (accepts, violations)
        assert row["violation_rate"] == violations / accepts
        exact = count_rate(violations, accepts)
        assert (row["violation_low"], row["violation_high"]) == (exact.low, exact.high)
        assert row["false_accept"] == false_accept
        assert row["false_reject"] == pytest.approx(false_reject)
        assert row["measure"] == measure


def test_without_an_affine_estimator_its_rule_is_absent() -> None:
    decisions = make_decisions()
    for without in (decisions.drop(columns="affine_ms"), decisions.assign(affine_ms=math.nan)):
        assert SOURCE_RULE not in set(budget_violations(without)["rule"])


def test_a_rule_that_accepts_nothing_has_no_rate() -> None:
    table = budget_violations(make_decisions().assign(decision="reject"))
    row = row_of(table, GUARD)
    assert row["accepts"] == 0
    assert math.isnan(row["violation_rate"])
    assert (row["violation_low"], row["violation_high"]) == (0.0, 1.0)
    assert (row["false_accept"], row["false_reject"]) == (0.0, 1.0)


def test_budgets_on_one_side_have_no_rate_of_the_other() -> None:
    tight = row_of(budget_violations(make_decisions(budget_ms=1.0)), NO_GUARD)
    assert (tight["over"], tight["false_accept"]) == (5, 1.0)
    assert math.isnan(tight["false_reject"])
    loose = row_of(budget_violations(make_decisions(budget_ms=1e6)), NO_GUARD)
    assert (loose["over"], loose["false_reject"]) == (0, 0.0)
    assert math.isnan(loose["false_accept"])


def test_budgets_stand_in_order() -> None:
    both = pd.concat([make_decisions(1.0, 100.0), make_decisions(0.5, 50.0)])
    table = budget_violations(both)
    assert table["fraction"].tolist() == [0.5] * 4 + [1.0] * 4
    assert table["budget_ms"].tolist() == [50.0] * 4 + [100.0] * 4
    assert table.loc[table["fraction"] == 0.5, "over"].tolist() == [4] * 4


def test_trials_that_hold_the_same_configs_out_narrow_no_interval() -> None:
    once = row_of(budget_violations(make_decisions()), NO_GUARD)
    thrice = row_of(budget_violations(pd.concat([make_decisions()] * 3)), NO_GUARD)
    assert (thrice["accepts"], thrice["violations"]) == (15, 6)
    assert thrice["violation_rate"] == once["violation_rate"]
    for end in ("violation_low", "violation_high"):
        assert thrice[end] == once[end]
