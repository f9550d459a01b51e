"""Metrics against their definitions, worked out by hand or by brute force."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import kstest, norm

from bayeslat.evaluation import metrics

POINT = np.array([1.1, 1.8, 3.0, 9.0])
MEASURED = np.array([1.0, 2.0, 4.0, np.nan])


def test_errors_by_hand_leave_out_what_was_not_measured() -> None:
    assert metrics.mape(POINT, MEASURED) == pytest.approx((0.1 + 0.1 + 0.25) / 3)
    assert metrics.mae(POINT, MEASURED) == pytest.approx((0.1 + 0.2 + 1.0) / 3)
    assert metrics.bias(POINT, MEASURED) == pytest.approx(-0.1)
    # Between the second and third of three errors: 0.2 + 0.9 x 0.8.
    assert metrics.p95_absolute_error(POINT, MEASURED) == pytest.approx(0.92)


def test_coverage_counts_the_ends() -> None:
    low, high = np.array([1.0, 2.1, 3.0, 0.0]), np.array([2.0, 3.0, 4.0, 99.0])
    assert metrics.coverage(low, high, MEASURED) == pytest.approx(2 / 3)


def test_width_is_in_ms_or_relative() -> None:
    low, high = np.array([9.0, 90.0]), np.array([11.0, 120.0])
    assert metrics.interval_width(low, high) == 16.0
    assert metrics.interval_width(low, high, np.array([10.0, 100.0])) == 0.25


@pytest.mark.parametrize("name", ["mape", "mae", "bias", "p95_absolute_error"])
def test_nothing_measured_is_not_a_number(name: str) -> None:
    assert np.isnan(getattr(metrics, name)(POINT, np.full(4, np.nan)))
    assert np.isnan(metrics.coverage(POINT, POINT, np.full(4, np.nan)))


def test_crps_is_its_definition() -> None:
    rng = np.random.default_rng(0)
    draws, measured = rng.gamma(3.0, size=(5, 40)), rng.gamma(3.0, size=5)
    for row, value, score in zip(draws, measured, metrics.crps(draws, measured), strict=True):
        pairs = np.abs(row[:, None] - row[None, :]).sum() / (40 * 39)
        assert score == pytest.approx(np.abs(row - value).mean() - 0.5 * pairs)


def test_crps_of_a_normal_is_the_closed_form() -> None:
    """Gneiting and Raftery 2007, eq. 21: the mean over many samples, within 4 standard errors."""
    rng = np.random.default_rng(1)
    draws = rng.standard_normal((4000, 20))
    z = 0.7
    expected = z * (2 * norm.cdf(z) - 1) + 2 * norm.pdf(z) - 1 / np.sqrt(np.pi)
    scores = metrics.crps(draws, np.full(4000, z))
    assert abs(scores.mean() - expected) < 4 * scores.std() / np.sqrt(4000)
    biased = np.abs(draws - z).mean(axis=1) - 0.5 * np.abs(draws[:, :, None] - draws[:, None]).mean(
        (1, 2)
    )
    assert abs(biased.mean() - expected) > 4 * scores.std() / np.sqrt(4000)  # pairs with themselves


def test_pit_is_uniform_when_predictions_are_right_and_only_then() -> None:
    rng = np.random.default_rng(2)
    draws, measured = rng.standard_normal((1500, 200)), rng.standard_normal(1500)
    assert kstest(metrics.pit(draws, measured), "uniform").pvalue > 0.01
    assert kstest(metrics.pit(1.3 * draws, measured), "uniform").pvalue < 0.01
    assert np.isnan(metrics.pit(draws[:1], np.array([np.nan]))).all()


@pytest.mark.parametrize("unit", [1.0, 0.25])
def test_pit_of_rounded_measurements_is_uniform_once_the_rounding_is_told(unit: float) -> None:
    rng = np.random.default_rng(3)
    draws = unit * rng.normal(10.0, 1.0, (3000, 199))
    measured = unit * np.round(rng.normal(10.0, 1.0, 3000))
    assert kstest(metrics.pit(draws, measured), "uniform").pvalue < 1e-6
    told = metrics.pit(draws, measured, resolution_ms=unit)
    assert kstest(told, "uniform").pvalue > 0.01
    wrong = metrics.pit(draws + 0.2 * unit, measured, resolution_ms=unit)
    assert kstest(wrong, "uniform").pvalue < 1e-6
