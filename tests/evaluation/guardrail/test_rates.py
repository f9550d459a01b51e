"""Exact intervals of rates: against SciPy, in closed form, and by counting every outcome."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import binom, binomtest

from bayeslat.evaluation.guardrail.rates import Rate, count_rate, upper_bound

LEVEL = 0.95


@pytest.mark.parametrize(("count", "of"), [(0, 1), (1, 1), (0, 30), (3, 30), (17, 40), (40, 40)])
def test_the_interval_is_that_of_clopper_and_pearson(count: int, of: int) -> None:
    found = count_rate(count, of)
    expected = binomtest(count, of).proportion_ci(LEVEL, method="exact")
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-12)
    assert found.value == count / of


@pytest.mark.parametrize("of", [1, 10, 59, 1000])
def test_none_of_many_has_a_closed_form(of: int) -> None:
    # (1 - rate)^n = 1 - confidence
    assert upper_bound(0, of, 0.95) == pytest.approx(1.0 - 0.05 ** (1.0 / of), rel=1e-12)
    assert count_rate(0, of).high == pytest.approx(1.0 - 0.025 ** (1.0 / of), rel=1e-12)
    assert count_rate(of, of).low == pytest.approx(0.025 ** (1.0 / of), rel=1e-12)


@pytest.mark.parametrize("count", range(6))
def test_at_the_bound_so_few_have_the_chance_that_is_left(count: int) -> None:
    bound = upper_bound(count, 50, 0.9)
    assert binom.cdf(count, 50, bound) == pytest.approx(0.1, rel=1e-9)


def test_of_none_anything_is_possible() -> None:
    nothing = count_rate(0, 0)
    assert (nothing.low, nothing.high) == (0.0, 1.0)
    assert math.isnan(nothing.value)
    assert upper_bound(0, 0, 0.95) == 1.0


def interval_coverage(rates: list[Rate], truth: float) -> float:
    """Chance that the interval of the count that comes up holds the true rate."""
    of = len(rates) - 1
    held = np.array([rate.low <= truth <= rate.high for rate in rates])
    return float(binom.pmf(np.arange(of + 1), of, truth) @ held)


@pytest.mark.parametrize("of", [5, 20, 60])
def test_it_holds_every_true_rate_at_least_as_often_as_it_says(of: int) -> None:
    truths = np.linspace(0.001, 0.999, 333)
    exact = [count_rate(count, of) for count in range(of + 1)]
    assert min(interval_coverage(exact, truth) for truth in truths) >= LEVEL
    normal = []  # the broken twin: Wald's interval
    for count in range(of + 1):
        half = 1.96 * math.sqrt(count / of * (1 - count / of) / of)
        normal.append(Rate(count, of, count / of - half, count / of + half))
    assert min(interval_coverage(normal, truth) for truth in truths) < 0.5


@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_the_bound_holds_every_true_rate_with_its_confidence(confidence: float) -> None:
    of = 40
    bounds = np.array([upper_bound(count, of, confidence) for count in range(of + 1)])
    for truth in np.linspace(0.002, 0.998, 250):
        chance = binom.pmf(np.arange(of + 1), of, truth) @ (truth <= bounds)
        assert chance >= confidence - 1e-12


def test_repeated_trials_count_once() -> None:
    seen_thrice, once = count_rate(9, 60, independent=20), count_rate(3, 20)
    assert (seen_thrice.count, seen_thrice.of) == (9, 60)
    assert (seen_thrice.low, seen_thrice.high) == (once.low, once.high)
    assert count_rate(9, 60).high < once.high
    assert count_rate(0, 60, independent=20).high == count_rate(0, 20).high
