"""The verdict in sentences: what a lead reads, if nothing else."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from bayeslat.report.assessment_words import as_sentence, verdict_sentences
from tests.assessments import recorded

pytestmark = pytest.mark.xdist_group("small posterior")


def changed(**values: Any) -> dict[str, Any]:
    """A record with other values; those of `transfer` and `decisions` are set in them."""
    record = deepcopy(recorded())
    for name, value in values.items():
        if isinstance(value, dict) and isinstance(record[name], dict):
            record[name] = {**record[name], **value}
        else:
            record[name] = value
    return record


def trust(**values: Any) -> str:
    return verdict_sentences(changed(**values))[0]


def test_each_verdict_has_its_words() -> None:
    good = {"verdict": "trust", "expected_mape": 0.0312}
    assert trust(transfer=good, calibration_rows=10, calibration_configs=10) == (
        "Calibrated with 10 configurations, predictions for l40s can be trusted: the typical total "
        "is expected to be off by 3.1%."
    )
    assert trust(transfer={**good, "unmeasured": ["decode"]}).endswith(
        " Nothing was measured of decode: nothing that runs it is accepted."
    )
    more = {"verdict": "more data", "expected_mape": 0.2, "more_rows": 5}
    assert trust(transfer=more, calibration_rows=3, calibration_configs=1) == (
        "Calibrated with 1 configuration (3 rows), predictions for l40s need more data: the "
        "typical total is expected to be off by 20.0%, which may be too much."
    )
    passes = {**more, "more_rows": 0, "more_passes": True, "pass_sd": 0.05}
    assert trust(transfer=passes).endswith(
        "need further passes over the configurations, or a quieter machine: the typical total is "
        "expected to be off by 20.0%, since passes differ by 5.1%."
    )
    again = {**more, "more_rows": 0, "gross_errors": [{"unsettled": True}, {"unsettled": False}]}
    assert trust(transfer=again).endswith(
        "predictions for l40s need 1 row to be measured again, set aside as a gross error: "
        "without it, the typical total is expected to be off by 20.0%."
    )
    assert "cannot be trusted: it is unlike the donors. Fit it with them." in trust(
        transfer={"verdict": "refit as donor"}
    )


def test_a_gpu_without_calibration_is_told_what_trials_found() -> None:
    told = trust(transfer=None)
    assert told.startswith("l40s was not calibrated: nothing is accepted on its data sheet alone.")
    shown = recorded()["trials"]["shown_rows"]
    error = {row["rows"]: row["mape"] for row in recorded()["errors"]}[shown]
    assert told.endswith(f"In trials, {shown} rows left an error of {error:.1%}.")
    assert trust(transfer=None, trials=None) == (
        "l40s was not calibrated: nothing is accepted on its data sheet alone."
    )
    assert trust(transfer=None, fitted=True) == "l40s was fitted as a donor."


def test_a_budget_of_a_stage_is_told_by_its_name() -> None:
    found = recorded()
    told = trust(transfer=None, budget_of="decode")
    assert " rows left an error of decode of " in told
    assert trust(transfer=None, budget_of="decode", errors=[]).endswith("sheet alone.")
    transfer = {**found["transfer"], "unmeasured": ["prefill"]}
    assert "Nothing was measured of prefill" in trust(transfer=transfer)
    assert "Nothing was measured" not in trust(transfer=transfer, budget_of="decode")
    good = {"verdict": "trust", "expected_mape": 0.0312}
    assert (
        trust(transfer=good, budget_of="decode")
        .split(": ", 1)[1]
        .startswith("the typical total is expected to be off by 3.1% (in trials, ")
    )
    untried = trust(transfer=good, budget_of="decode", errors=[])
    assert untried.endswith("is expected to be off by 3.1% (not decode alone).")


def decided(**counts: int) -> str:
    return verdict_sentences(changed(decisions=counts))[1]


def test_decisions_are_counted() -> None:
    counts = {"configs": 1390, "accept": 1352, "over": 22, "reject": 19, "measure": 19}
    assert decided(**counts, false_accepts=0) == (
        "With a budget of 300 ms for each run and max_risk 0.05, the guardrail accepts 1,352 of "
        "1,390 held-out configurations, and none of them ran over; without it, 22 would have. It "
        "rejects 19 and asks to measure 19 first."
    )
    assert "and 13 of them (1.0%) ran over" in decided(**counts, false_accepts=13)
    nothing = decided(**{**counts, "accept": 0}, false_accepts=0)
    assert "accepts 0 of 1,390 held-out configurations. It rejects" in nothing


def test_the_budget_is_for_what_was_asked() -> None:
    assert "300 ms for the typical run" in verdict_sentences(changed(of="typical"))[1]
    assert "2,500 ms for each run" in verdict_sentences(changed(budget_ms=2500.0))[1]


def test_a_donors_configs_are_not_called_held_out() -> None:
    assert "of 40 measured configurations" in verdict_sentences(recorded("donor"))[1]


def test_without_decisions_there_is_the_verdict_alone() -> None:
    assert len(verdict_sentences(recorded("nothing"))) == 1


def test_sentences_begin_with_a_capital_but_for_the_name_of_an_option() -> None:
    assert as_sentence("more data: expected") == "More data: expected."
    assert as_sentence("max_risk up to 0.3 keeps") == "max_risk up to 0.3 keeps."
