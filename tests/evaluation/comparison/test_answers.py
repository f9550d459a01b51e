"""Findings of the stage-estimator document, confirmed or not by a comparison's scores."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pandas as pd
import pytest

from bayeslat.evaluation.comparison.answers import check_findings


def find(
    errors: dict[str, dict[int, float]], question: str, stages: tuple[str, ...] = ("a", "b")
) -> Any:
    rows = [
        {"method": method, "rows": count, "stage": stage, "repetition": 0, "mape": error}
        for method, found in errors.items()
        for count, error in found.items()
        for stage in (*stages, "total")
    ]
    comparison = cast("Any", SimpleNamespace(scores=pd.DataFrame(rows)))
    (answer,) = [each for each in check_findings(comparison) if question in each.question]
    return answer


@pytest.mark.parametrize(
    ("last", "told", "verdict"),
    [
        (0.08, "It brings 21.0% down to 8.0% with 25 rows.", "confirmed"),
        (0.20, "It brings 21.0% down to 20.0% with 25 rows.", "not confirmed"),
        (0.23, "It brings 21.0% up to 23.0% with 25 rows.", "not confirmed"),
    ],
)
def test_affine_scaling_may_err_less_or_more(last: float, told: str, verdict: str) -> None:
    errors = {"direct": {0: 0.21}, "A": {5: 0.70, 25: last}}
    answer = find(errors, "Affine scaling")
    assert (answer.answer, answer.verdict) == (told, verdict)


def test_a_single_stage_tells_nothing_of_stages() -> None:
    errors = {"A": {10: 0.11, 25: 0.06}, "B_total_only": {10: 0.12, 25: 0.07}}
    question = "Stage-aware models"
    assert find(errors, question).verdict == "confirmed"
    answer = find(errors, question, stages=("step",))
    assert answer.verdict == "not measured"
    assert answer.answer == "step is the only stage: a model of it is one of the total."
