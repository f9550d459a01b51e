"""Points and quantiles of draws, against their definitions."""

from __future__ import annotations

import numpy as np
import pytest

from bayeslat.decisions.summary import QUANTILES, summarise_draws


def expected_relative_error(point: float, draws: np.ndarray) -> float:
    least = np.sort(draws)[round(0.05 * (len(draws) - 1))]
    return float(np.mean(np.abs(draws - point) / np.maximum(draws, least)))


@pytest.mark.parametrize("sd", [0.02, 0.3, 1.0])
def test_the_point_has_the_least_expected_relative_error(sd: float) -> None:
    draws = np.exp(sd * np.random.default_rng(1).standard_normal(401))
    point = summarise_draws(draws[None])["point"][0]
    errors = [expected_relative_error(candidate, draws) for candidate in draws]
    assert expected_relative_error(point, draws) == pytest.approx(min(errors), rel=1e-12)
    if sd > 0.1:
        assert expected_relative_error(float(np.median(draws)), draws) > min(errors)


def test_a_heavy_lower_tail_does_not_drag_the_point_to_zero() -> None:
    draws = np.exp(np.random.default_rng(2).standard_t(2, 512))
    draws[0] = 1e-12  # alone, it would have all the weight
    assert summarise_draws(draws[None])["point"][0] > np.quantile(draws, 0.05)


def test_moments_and_quantiles_are_those_of_the_draws() -> None:
    draws = np.random.default_rng(3).gamma(4.0, size=(7, 400))
    summary = summarise_draws(draws)
    np.testing.assert_allclose(summary["mean"], draws.mean(axis=1))
    np.testing.assert_allclose(summary["sd"], draws.std(axis=1))
    for name, level in QUANTILES.items():
        # Draws stand for the middles of equally likely strata (Hyndman and Fan 1996, type 5).
        expected = np.quantile(draws, level, axis=1, method="hazen")
        np.testing.assert_allclose(summary[name], expected)


def test_one_draw_is_every_quantile() -> None:
    summary = summarise_draws(np.array([[3.0]]))
    assert {float(values[0]) for name, values in summary.items() if name != "sd"} == {3.0}
