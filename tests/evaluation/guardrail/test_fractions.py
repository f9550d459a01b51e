"""Decisions for the budget that was given, and for tighter ones."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pandas as pd
import pytest

from bayeslat.decisions.guard import Budget, Guard
from bayeslat.decisions.prediction import Prediction
from bayeslat.evaluation.guardrail.fractions import FRACTIONS, decide_fractions
from bayeslat.posterior import Posterior
from tests.posteriors import make_configs, make_data

pytestmark = pytest.mark.xdist_group("small posterior")

GPU, BUDGET_MS = "h100_sxm", 300.0


@lru_cache(maxsize=1)
def prediction() -> Prediction:
    return Posterior(make_data()).predict(make_configs(30), GPU)


def decide(guard: Guard, measured_ms: np.ndarray) -> pd.DataFrame:
    point = prediction().frame["total_point_ms"].to_numpy()
    return decide_fractions(guard, prediction(), measured_ms, {"point_ms": point})


def test_each_budget_is_decided_as_a_guard_of_it_would() -> None:
    guard = Posterior(make_data()).guard(GPU, BUDGET_MS, max_risk=0.1)
    found = decide(guard, np.arange(30.0))
    assert found["fraction"].unique().tolist() == list(FRACTIONS) == [0.5, 0.7, 0.85, 1.0]
    for fraction in FRACTIONS:
        part = found[found["fraction"] == fraction].reset_index(drop=True)
        own = Posterior(make_data()).guard(GPU, fraction * BUDGET_MS, max_risk=0.1)
        expected = own.decide(make_configs(30))
        pd.testing.assert_series_equal(part["decision"], expected["decision"])
        pd.testing.assert_series_equal(part["p_exceed"], expected["p_exceed"])
        assert (part["budget_ms"] == fraction * BUDGET_MS).all()
        assert part["config"].tolist() == list(range(30))
        assert part["measured_ms"].tolist() == list(range(30))
    accepted = found[found["decision"] == "accept"].groupby("fraction").size()
    assert accepted.is_monotonic_increasing
    assert accepted.nunique() > 1


def test_what_was_not_measured_is_left_out_and_the_rest_keeps_its_number() -> None:
    guard = Posterior(make_data()).guard(GPU, BUDGET_MS)
    measured = np.where(np.arange(30) % 3 == 0, np.nan, 100.0)
    found = decide(guard, measured)
    assert len(found) == 4 * 20
    assert found["config"].unique().tolist() == np.flatnonzero(~np.isnan(measured)).tolist()
    whole = decide(guard, np.full(30, 100.0))
    both = whole.merge(found, on=["config", "fraction"], suffixes=("", "_held"))
    assert (both["point_ms"] == both["point_ms_held"]).all()
    assert (both["decision"] == both["decision_held"]).all()


def test_all_budgets_of_a_guard_are_scaled_together() -> None:
    data = make_data()
    both = (Budget(BUDGET_MS), Budget(20.0, ("decode",)))
    guard = Posterior(data).guard(GPU, BUDGET_MS)
    found = decide(Guard(data, guard.gpu, both), np.full(30, 100.0))
    half = Guard(data, guard.gpu, (Budget(BUDGET_MS / 2), Budget(10.0, ("decode",))))
    expected = half.judge(prediction()).decide(0.05)["decision"].tolist()
    assert found.loc[found["fraction"] == 0.5, "decision"].tolist() == expected
    assert (found.loc[found["fraction"] == 0.5, "budget_ms"] == BUDGET_MS / 2).all()
