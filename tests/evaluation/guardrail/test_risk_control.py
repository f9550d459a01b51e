"""A bound on false accepts that holds whatever the model."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import binom

from bayeslat.errors import InputError
from bayeslat.evaluation.guardrail.rates import upper_bound
from bayeslat.evaluation.guardrail.risk_control import (
    LEVELS,
    RiskControl,
    control_risk,
    rows_needed,
)

type Array = NDArray[np.float64]


def control(risk: Array, over: NDArray[np.bool_], **settings: float) -> RiskControl:
    return control_risk(risk, risk, over, **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("limit", "confidence", "rows"), [(0.01, 0.95, 299), (0.05, 0.95, 59), (0.1, 0.9, 22)]
)
def test_the_rows_that_show_a_limit_without_a_false_accept(
    limit: float, confidence: float, rows: int
) -> None:
    assert rows_needed(limit, confidence) == rows  # "the rule of three": about 3 / limit
    for count, shown in ((rows, 0.5), (rows - 1, None)):
        nothing = control(
            np.zeros(count), np.zeros(count, bool), limit=limit, confidence=confidence
        )
        assert nothing.largest == shown
        assert nothing.table["bound"].iloc[0] == pytest.approx(1 - (1 - confidence) ** (1 / count))


@given(
    st.floats(1e-4, 0.5),
    st.sampled_from([0.5, 0.8, 0.9, 0.95, 0.99]),
)
def test_the_rows_needed_are_the_fewest(limit: float, confidence: float) -> None:
    rows = rows_needed(limit, confidence)
    assert binom.cdf(0, rows, limit) <= (1.0 - confidence) * (1 + 1e-9)
    assert rows == 1 or binom.cdf(0, rows - 1, limit) > (1.0 - confidence) * (1 - 1e-9)


def test_a_tiny_limit_is_no_division_by_zero() -> None:
    # 1 - 1e-17 is 1 in floating point.
    assert rows_needed(1e-17, 0.95) == pytest.approx(-math.log(0.05) * 1e17)


def test_the_table_counts_each_level() -> None:
    risk = np.array([0.0, 0.004, 0.04, 0.04, 0.4, 1.0])
    over = np.array([False, False, True, False, True, True])
    found = control_risk(
        risk, np.array([0.0, 0.001, 0.03, 0.02, 0.3, 0.9]), over, limit=0.4, confidence=0.5,
        max_risk=0.04,
    )  # fmt: skip
    assert found.table["max_risk"].tolist() == sorted([*LEVELS, 0.04])
    at = found.at(0.04)
    assert (at["accepts"], at["false_accepts"], at["rate"]) == (4, 1, 1 / 6)
    assert at["bound"] == pytest.approx(upper_bound(1, 6, 0.5))
    assert at["expected"] == pytest.approx((0.0 + 0.001 + 0.03 + 0.02) / 6)
    assert (found.at(0.5)["accepts"], found.at(0.5)["false_accepts"]) == (5, 2)
    assert found.at(0.001)["accepts"] == 1


def test_testing_stops_at_the_first_level_that_fails() -> None:
    # Between 0.05 and 0.1 one is accepted wrongly in ten; then only good ones come.
    risk = np.concatenate([np.full(40, 0.06), np.full(400, 0.15)])
    over = np.concatenate([np.arange(40) < 20, np.zeros(400, bool)])
    found = control(risk, over, limit=0.04, confidence=0.9)
    assert found.largest == 0.05
    assert not found.table["passes"].iloc[-1]
    assert found.table["passes"].is_monotonic_decreasing


def make_rows(rng: np.random.Generator, count: int) -> tuple[Array, NDArray[np.bool_]]:
    """Rows of a model that is far too sure: it says p, and sqrt(p) happens."""
    p_exceed = rng.beta(0.4, 1.5, count)
    return p_exceed, rng.uniform(size=count) < np.sqrt(p_exceed)


def by_the_rate_alone(risk: Array, over: NDArray[np.bool_], limit: float) -> float | None:
    """The broken twin: the largest level whose observed rate keeps the limit."""
    kept = [level for level in LEVELS if np.mean((risk <= level) & over) <= limit]
    return kept[-1] if kept else None


def test_the_limit_is_kept_as_often_as_promised_by_a_model_that_is_wrong() -> None:
    limit, confidence, sets = 0.05, 0.9, 2000
    rng = np.random.default_rng(0)
    many, truly_over = make_rows(rng, 1_000_000)
    true_rate = {level: np.mean((many <= level) & truly_over) for level in LEVELS}
    # One level is a little too bold, so that the promise is put to the test.
    assert any(limit < rate < 1.6 * limit for rate in true_rate.values())
    model = {level: np.mean(many * (many <= level)) for level in LEVELS}
    assert model[0.1] < limit < true_rate[0.1]  # what the model says would not do

    held = [make_rows(rng, 200) for _ in range(sets)]

    def broken(choose: Callable[[Array, NDArray[np.bool_]], float | None]) -> float:
        chosen = [choose(risk, over) for risk, over in held]
        return float(np.mean([level is not None and true_rate[level] > limit for level in chosen]))

    controlled = broken(
        lambda risk, over: control(risk, over, limit=limit, confidence=confidence).largest
    )
    error = math.sqrt(confidence * (1 - confidence) / sets)
    assert controlled <= 1 - confidence + 3 * error
    assert broken(lambda risk, over: by_the_rate_alone(risk, over, limit)) > 0.2


def test_all_impossible_values_are_told_at_once() -> None:
    with pytest.raises(InputError) as caught:
        control(np.zeros(0), np.zeros(0, bool), limit=0.0, confidence=2.0)
    for text in ("false_accepts is 0", "confidence is 2", "no held-out config is left"):
        assert text in str(caught.value)


def test_the_sentence_says_what_holds_with_all_digits_that_were_asked_for() -> None:
    good, bad = np.zeros(2000), np.full(2000, 0.05)
    nothing, all_over = np.zeros(2000, bool), np.ones(2000, bool)
    kept = str(control(good, nothing, limit=0.0035, confidence=0.995))
    assert "max_risk up to 0.5 keeps false accepts within 0.35% of all" in kept
    assert "with 99.5% confidence (2,000 held-out configs)" in kept  # not 100%
    few = str(control(good[:50], nothing[:50]))
    assert "50 held-out configs cannot show" in few
    assert "299 can, if none is accepted wrongly" in few
    wrong = str(control(bad, all_over, limit=0.5))
    assert "max_risk up to 0.02" in wrong
    assert "too many were accepted wrongly" in str(control(good, all_over))
    seen = control_risk(good, good, nothing, fitted=True)
    assert "if the fit did not see them" in str(seen)
