"""The guard beside the rules that it replaces, counted by hand."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from bayeslat.evaluation.guardrail.trade_off import MARGINS, trade_off
from bayeslat.evaluation.guardrail.violations import GUARD, NO_GUARD, POINT_RULE, SOURCE_RULE


def make_decisions(budget_ms: float = 100.0) -> pd.DataFrame:
    """Six configs: three over the budget of 100 ms."""
    return pd.DataFrame(
        {
            "config": range(6),
            "budget_ms": budget_ms,
            "measured_ms": [50.0, 90.0, 99.0, 101.0, 120.0, 200.0],
            "p_exceed": [0.0, 0.02, 0.4, 0.3, 0.9, 1.0],
            "point_ms": [55.0, 85.0, 98.0, 96.0, 92.0, 210.0],
            "affine_ms": [50.0, 60.0, 70.0, 200.0, 80.0, 95.0],
            "decision": ["accept", "measure", "reject", "accept", "reject", "reject"],
        }
    )


def test_each_rule_has_its_curve_and_its_area() -> None:
    found = trade_off(make_decisions(), max_risk=0.05)
    assert (found.over, found.within) == (3, 3)
    assert set(found.curves) == set(found.bands) == {GUARD, POINT_RULE, SOURCE_RULE}
    # Of nine pairs, those in which the config over the budget has the higher score.
    areas = {rule: round(9 * curve.area) for rule, curve in found.curves.items()}
    assert areas == {GUARD: 8, POINT_RULE: 7, SOURCE_RULE: 9}
    # A score of the point is its part of the budget.
    assert found.curves[POINT_RULE].at(0.9) == pytest.approx((1 / 3, 0.0))
    assert found.curves[GUARD].at(0.3) == pytest.approx((1 / 3, 1 / 3))


def test_the_marks_are_the_thresholds_that_people_use() -> None:
    points = trade_off(make_decisions(), max_risk=0.05).points
    assert len(points) == 1 + 2 * len(MARGINS) + 1
    marked = {
        (row["rule"], row["label"]): (row["false_reject"], row["false_accept"])
        for row in points.to_dict("records")
    }
    # Accepted: one within, one over. What is to be measured is refused.
    assert marked[GUARD, "max_risk 0.05"] == pytest.approx((2 / 3, 1 / 3))
    assert marked[NO_GUARD, NO_GUARD] == (0.0, 1.0)
    assert marked[POINT_RULE, "1"] == pytest.approx((0.0, 2 / 3))
    assert marked[POINT_RULE, "1.1"] == pytest.approx((1 / 3, 0.0))  # 85 x 1.1 is 93.5
    assert marked[POINT_RULE, "1.25"] == pytest.approx((2 / 3, 0.0))
    assert marked[SOURCE_RULE, "1.25"] == pytest.approx((0.0, 1 / 3))  # 80 x 1.25 is the budget


def test_without_an_affine_estimator_its_rule_is_absent() -> None:
    for without in (
        make_decisions().drop(columns="affine_ms"),
        make_decisions().assign(affine_ms=math.nan),
    ):
        found = trade_off(without, max_risk=0.05)
        assert set(found.curves) == {GUARD, POINT_RULE}
        assert SOURCE_RULE not in set(found.points["rule"])


def test_budgets_on_one_side_have_no_area_and_no_crash() -> None:
    for budget, counts in ((1.0, (6, 0)), (1e6, (0, 6))):
        found = trade_off(make_decisions(budget), max_risk=0.05)
        assert (found.over, found.within) == counts
        assert all(math.isnan(curve.area) for curve in found.curves.values())
        assert all(band.iloc[:, 1:].isna().all(axis=None) for band in found.bands.values())


def test_bands_follow_from_the_seed() -> None:
    first, again, other = (trade_off(make_decisions(), 0.05, seed) for seed in (1, 1, 2))
    assert first.bands[GUARD].equals(again.bands[GUARD])
    assert not first.bands[GUARD].equals(other.bands[GUARD])
    assert np.isfinite(first.bands[GUARD].to_numpy()).all()
