"""A report in numbers: what was found, in plain JSON."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from bayeslat.evaluation.guardrail.violations import GUARD, NO_GUARD
from bayeslat.report.assessment_record import guardrail_analysis, records
from tests.assessments import COMMANDS, DONOR, GPU, KINDS, OPTIONS, assessed, recorded

pytestmark = pytest.mark.xdist_group("small posterior")


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_strict_json(kind: str) -> None:
    text = json.dumps(recorded(kind), allow_nan=False)
    assert json.loads(text) == json.loads(json.dumps(recorded(kind)))


def test_it_says_what_was_asked_and_of_whom() -> None:
    found = recorded()
    assert (found["gpu"], found["stack"], found["fitted"]) == (GPU, "", False)
    assert found["donors"] == ["a100_sxm", "h100_sxm", "h200_sxm"]
    assert (found["budget_ms"], found["max_risk"], found["of"]) == (300.0, 0.05, "run")
    assert found["posterior"]["spec"] == "small"
    assert found["posterior"]["engine"] == "laplace"
    assert found["posterior"]["rows"] == 120
    assert found["commands"] == list(COMMANDS)
    assert [each["rows"] for each in found["traces"]] == [60, 60]
    assert found["traces"][0]["provenance"] is None
    assert found["traces"][1]["provenance"]["source"] == "simulated"
    assert DONOR not in recorded("donor")["donors"]


def test_decisions_are_those_of_the_guard() -> None:
    found, decided = recorded()["decisions"], assessed().decided
    assert decided is not None
    at_budget = decided[decided["fraction"] == 1.0]
    over = at_budget["measured_ms"] > OPTIONS.budget.ms
    accepted = at_budget["decision"] == "accept"
    assert found["configs"] == len(at_budget) == 42
    assert found["calibrated_with"] == 8
    assert found["over"] == over.sum() > 0
    assert found["accept"] == accepted.sum() > 0
    assert found["accept"] + found["reject"] + found["measure"] == 42
    assert found["false_accepts"] == (accepted & over).sum()
    assert found["false_rejects"] == ((at_budget["decision"] == "reject") & ~over).sum()
    assert found["expected_false_accepts"] == pytest.approx(at_budget["p_exceed"][accepted].sum())


def test_errors_are_means_over_the_repetitions() -> None:
    trials = assessed().trials
    assert trials is not None
    for row in recorded()["errors"]:
        part = trials.scores[(trials.scores["rows"] == row["rows"])]
        total = part[part["stage"] == "total"]
        assert len(total) == 2
        assert row["mape"] == pytest.approx(total["mape"].mean())
        assert row["coverage_90"] == pytest.approx(total["coverage_90"].mean())
    assert [row["rows"] for row in recorded()["errors"]] == [0, 5, 10]
    assert recorded()["run_to_run"] is None  # without repeats
    about = recorded()["trials"]
    assert (about["repetitions"], about["shown_rows"], about["decisions"]) == (2, 10, 30)
    assert 15 < about["configs"] <= 30


def test_strengths_are_ordered_and_sure() -> None:
    strengths = recorded()["strengths"]
    away = [abs(np.log(row["ratio"])) for row in strengths]
    assert away == sorted(away, reverse=True)
    assert all(row["low"] > 1.0 or row["high"] < 1.0 for row in strengths)
    assert recorded("nothing")["strengths"] == []  # nothing is known of it


def test_the_suggestion_says_what_it_buys() -> None:
    found = recorded()["suggestion"]
    assert [row["rank"] for row in found["configs"]] == [1, 2, 3, 4]
    assert len(found["mape"]) == len(found["width_90"]) == 5  # before, and after each
    assert found["mape"][-1] < found["mape"][0]
    assert found["cost_ms"] == pytest.approx(sum(row["cost_ms"] for row in found["configs"]))
    assert len(found["at_hand"]) == 4


def test_the_analysis_is_of_the_decisions_shown() -> None:
    analysis = recorded()["guardrail"]
    assert analysis == guardrail_analysis(assessed())
    assert (analysis["gpu"], analysis["calibration_rows"]) == (GPU, 10)
    assert analysis["over"] + analysis["within"] == 30
    assert analysis["source_gpu"] == "a100_sxm"
    whole = {row["rule"]: row for row in analysis["budgets"] if row["fraction"] == 1.0}
    assert whole[NO_GUARD]["accepts"] == 30
    assert whole[NO_GUARD]["violations"] == analysis["over"]
    assert 0.5 < analysis["trade_off"][GUARD]["area"] <= 1.0
    with pytest.raises(ValueError, match="without decisions"):
        guardrail_analysis(assessed("nothing"))


def test_a_donors_bound_is_marked() -> None:
    assert recorded("donor")["risk_control"]["fitted"]
    assert not recorded()["risk_control"]["fitted"]
    levels = [row["max_risk"] for row in recorded()["risk_control"]["levels"]]
    assert levels == sorted(levels)
    assert recorded()["risk_control"]["bound"] in {
        row["bound"] for row in recorded()["risk_control"]["levels"]
    }


def test_what_is_no_number_is_null() -> None:
    table = pd.DataFrame(
        {
            "a": [1, 2, 3],
            "b": [0.5, np.nan, -np.inf],
            "c": ["x", None, "z"],
            "d": [True, False, True],
        }
    )
    assert records(table) == [
        {"a": 1, "b": 0.5, "c": "x", "d": True},
        {"a": 2, "b": None, "c": None, "d": False},
        {"a": 3, "b": None, "c": "z", "d": True},
    ]
    assert type(records(table)[0]["a"]) is int
