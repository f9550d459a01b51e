"""The trade-off of a score: against every threshold by brute force, and ranks."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import mannwhitneyu

from bayeslat.evaluation.guardrail.operating_curve import curve_band, operating_curve

type Array = NDArray[np.float64]
type Flags = NDArray[np.bool_]


@st.composite
def scored(draw: st.DrawFn) -> tuple[Array, Flags]:
    """Scores with ties, some of configs over the budget and some of others."""
    count = draw(st.integers(2, 14))
    score = draw(st.lists(st.integers(0, 5), min_size=count, max_size=count))
    over = draw(st.lists(st.booleans(), min_size=count, max_size=count))
    over[0], over[1] = True, False
    return np.array(score, float), np.array(over)


def by_hand(score: Array, over: Flags, threshold: float) -> tuple[float, float]:
    """False rejects and false accepts."""
    accepted = score <= threshold
    return float(np.mean(~accepted[~over])), float(np.mean(accepted[over]))


@given(scored())
def test_every_threshold_is_counted(drawn: tuple[Array, Flags]) -> None:
    score, over = drawn
    curve = operating_curve(score, over)
    assert curve.threshold.tolist() == [-math.inf, *np.unique(score)]
    for step, threshold in enumerate(curve.threshold):
        found = (curve.false_reject[step], curve.false_accept[step])
        assert found == pytest.approx(by_hand(score, over, threshold))
    for threshold in (-1.0, 0.0, 2.5, 3.0, 9.0):
        assert curve.at(threshold) == pytest.approx(by_hand(score, over, threshold))
    assert (curve.false_reject[0], curve.false_accept[0]) == (1.0, 0.0)
    assert (curve.false_reject[-1], curve.false_accept[-1]) == (0.0, 1.0)


@given(scored())
def test_the_area_is_the_mann_whitney_statistic(drawn: tuple[Array, Flags]) -> None:
    score, over = drawn
    higher = mannwhitneyu(score[over], score[~over]).statistic  # ties count one half
    assert operating_curve(score, over).area == pytest.approx(higher / (over.sum() * (~over).sum()))


@given(scored(), st.lists(st.integers(0, 3), min_size=14, max_size=14))
def test_a_weight_is_a_repetition(drawn: tuple[Array, Flags], times: list[int]) -> None:
    score, over = drawn
    repeated = np.array(times[: len(score)])
    repeated[:2] = np.maximum(repeated[:2], 1)
    weighted = operating_curve(score, over, repeated.astype(float))
    written_out = operating_curve(np.repeat(score, repeated), np.repeat(over, repeated))
    assert weighted.area == pytest.approx(written_out.area)
    for threshold in range(-1, 7):
        assert weighted.at(threshold) == pytest.approx(written_out.at(threshold))


def test_between_two_steps_both_rules_are_mixed() -> None:
    # Steps (false reject, false accept): (1, 0), (.5, 0), (.5, .5), (0, .5), (0, 1).
    curve = operating_curve(np.array([1.0, 2.0, 3.0, 4.0]), np.array([False, True, False, True]))
    points = np.array([1.0, 0.75, 0.5, 0.25, 0.0])
    # At one half the least of the two counts.
    assert curve.false_accept_at(points).tolist() == [0.0, 0.0, 0.0, 0.5, 0.5]
    # All scores alike: the mixture of accepting all and none.
    tied = operating_curve(np.ones(4), np.array([False, True, False, True]))
    assert tied.false_accept_at(points) == pytest.approx(1.0 - points)
    assert tied.area == pytest.approx(0.5)


@pytest.mark.parametrize("over", [True, False])
def test_configs_on_one_side_have_no_area_and_no_false_accept_rate(over: bool) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        curve = operating_curve(np.array([0.1, 0.4, 0.2]), np.full(3, over))
        assert math.isnan(curve.area)
        assert np.isnan(curve.false_accept_at(np.array([0.05, 0.5]))).all()
        band = curve_band(np.array([0.1, 0.4]), np.full(2, over), np.arange(2), np.array([0.1]))
    assert band[["false_accept_low", "false_accept_high"]].isna().all(axis=None)


def test_no_configs_have_a_curve_that_accepts_nothing() -> None:
    curve = operating_curve(np.array([]), np.array([], dtype=bool))
    assert curve.threshold.tolist() == [-math.inf]
    assert math.isnan(curve.area)


def draw_scores(rng: np.random.Generator, configs: int) -> tuple[Array, Flags]:
    """Normal scores; those over the budget are 1.5 sd higher."""
    over = np.arange(configs) % 2 == 0
    return rng.standard_normal(configs) + 1.5 * over, over


def test_the_band_holds_the_true_curve_about_as_often_as_it_says() -> None:
    at = np.array([0.1, 0.3, 0.5])
    score, over = draw_scores(np.random.default_rng(0), 400_000)
    true = operating_curve(score, over).false_accept_at(at)
    rng = np.random.default_rng(1)
    held = []
    for number in range(60):
        score, over = draw_scores(rng, 120)
        band = curve_band(score, over, np.arange(120), at, seed=[number])
        held.append((band["false_accept_low"] <= true) & (true <= band["false_accept_high"]))
    error = np.sqrt(0.9 * 0.1 / 60)  # points of a curve move together
    assert 0.9 - 4 * error < np.mean(held) <= 1.0


def test_repeats_of_a_configuration_narrow_no_band() -> None:
    score, over = draw_scores(np.random.default_rng(2), 60)
    at = np.array([0.2])
    width = []
    for repeats, config in ((1, np.arange(60)), (9, np.arange(60)), (9, None)):
        rows = np.tile(score, repeats), np.tile(over, repeats)
        numbers = np.arange(540) if config is None else np.tile(config, repeats)
        band = curve_band(*rows, numbers, at, seed=3)
        width.append(float((band["false_accept_high"] - band["false_accept_low"]).iloc[0]))
    assert width[1] == width[0]
    assert width[2] < 0.6 * width[0]  # the broken twin: each repeat counts as a config


def test_the_band_follows_from_its_seed() -> None:
    score, over = draw_scores(np.random.default_rng(4), 50)
    given = score, over, np.arange(50), np.array([0.0, 0.2, 1.0])
    first, again, other = (curve_band(*given, seed=seed) for seed in (5, 5, 6))
    assert first.equals(again)
    assert not first.equals(other)
    assert (first["false_accept_low"] <= first["false_accept_high"]).all()
