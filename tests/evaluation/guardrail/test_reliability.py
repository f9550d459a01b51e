"""Bins of p_exceed and of the PIT: exact intervals, a calibrated model inside, others outside."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import binom, poisson_binom

from bayeslat.evaluation.guardrail.reliability import pit_histogram, reliability

type Array = NDArray[np.float64]

SETS, ROWS = 40, 1000


@pytest.mark.parametrize("count", [1, 2, 7, 60])
def test_the_interval_of_a_bin_is_that_of_poissons_binomial_distribution(count: int) -> None:
    p_exceed = np.random.default_rng(count).beta(0.5, 0.7, count)
    [row] = reliability(p_exceed, np.zeros(count, bool), bins=1).to_dict("records")
    law = poisson_binom(p_exceed)
    assert row["expected_low"] * count == pytest.approx(law.ppf(0.025))
    assert row["expected_high"] * count == pytest.approx(law.ppf(0.975))


@pytest.mark.parametrize("count", [64, 65, 300])
def test_halves_give_what_one_row_after_the_other_does(count: int) -> None:
    p_exceed = np.random.default_rng(count).beta(0.5, 0.7, count)
    chances = np.ones(1)
    for chance in p_exceed:
        chances = np.convolve(chances, [1.0 - chance, chance])
    [row] = reliability(p_exceed, np.zeros(count, bool), bins=1).to_dict("records")
    below = np.cumsum(chances)
    assert row["expected_low"] * count == pytest.approx((below < 0.025).sum())
    assert row["expected_high"] * count == pytest.approx((below < 0.975).sum())


def test_thousands_of_rows_agree_with_the_normal_law() -> None:
    p_exceed = np.random.default_rng(0).uniform(0.2, 0.3, 20_000)
    [row] = reliability(p_exceed, p_exceed > 0.25, bins=1).to_dict("records")
    mean, sd = p_exceed.mean(), np.sqrt((p_exceed * (1 - p_exceed)).sum()) / len(p_exceed)
    assert row["expected_low"] == pytest.approx(mean - 1.96 * sd, abs=0.02 * sd)
    assert row["expected_high"] == pytest.approx(mean + 1.96 * sd, abs=0.02 * sd)


def test_bins_are_counted_by_hand() -> None:
    p_exceed = np.array([0.0, 0.05, 0.1, 0.95, 1.0])
    over = np.array([False, True, False, True, True])
    found = reliability(p_exceed, over)
    assert found["low"].tolist() == [0.0, 0.1, 0.9]  # bins without configs have no row
    assert found["high"].tolist() == [0.1, 0.2, 1.0]  # 1 is of the last
    assert found["configs"].tolist() == [2, 1, 2]
    assert found["predicted"].tolist() == pytest.approx([0.025, 0.1, 0.975])
    assert found["observed"].tolist() == [0.5, 0.0, 1.0]
    # Of 0 and 0.05: none with the chance 0.95, one with 0.05.
    assert found[["expected_low", "expected_high"]].iloc[0].tolist() == [0.0, 0.5]
    assert found["inside"].tolist() == [True, True, True]


def part_inside(true: str) -> float:
    """Part of the bins that hold what happened, over many sets of rows."""
    rng = np.random.default_rng(1)
    inside = []
    for _ in range(SETS):
        p_exceed = rng.uniform(size=ROWS)
        # Overconfident: what happens is nearer to one half than what is said.
        chance = p_exceed if true == "calibrated" else 0.25 + 0.5 * p_exceed
        inside += reliability(p_exceed, rng.uniform(size=ROWS) < chance)["inside"].tolist()
    return float(np.mean(inside))


def test_a_calibrated_model_is_inside_and_an_overconfident_one_is_not() -> None:
    error = np.sqrt(0.95 * 0.05 / (10 * SETS))
    # Counts are whole, so that an interval holds a little more than 95 %.
    assert 0.95 - 4 * error < part_inside("calibrated") < 0.965 + 4 * error
    assert part_inside("overconfident") < 0.5


def test_a_uniform_pit_is_level_and_a_narrow_prediction_is_not() -> None:
    rng = np.random.default_rng(2)
    held = []
    for spread in (1.0, 2.0):
        inside = []
        for _ in range(SETS):
            pit = np.clip(0.5 + spread * (rng.uniform(size=ROWS) - 0.5), 0.0, 1.0)
            found = pit_histogram(pit)
            assert found["share"].sum() == pytest.approx(1.0)
            inside += found["share"].between(found["expected_low"], found["expected_high"]).tolist()
        held.append(np.mean(inside))
    assert held[0] > 0.95 - 4 * np.sqrt(0.95 * 0.05 / (10 * SETS))
    assert held[1] < 0.5


def test_what_was_not_measured_has_no_pit() -> None:
    found = pit_histogram(np.array([0.05, np.nan, 0.05, 0.95, np.nan, 1.0]), bins=2)
    assert found["share"].tolist() == [0.5, 0.5]
    expected = binom.ppf([0.025, 0.975], 4, 0.5) / 4
    assert found[["expected_low", "expected_high"]].iloc[0].tolist() == expected.tolist()
    nothing = pit_histogram(np.full(3, np.nan))
    assert (nothing["share"] == 0.0).all()
