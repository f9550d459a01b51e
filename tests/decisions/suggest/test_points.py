"""Points stand for the candidates in proportion to their weight."""

from __future__ import annotations

import numpy as np
import pytest

from bayeslat.decisions.suggest.points import choose_points, density_at


def test_few_candidates_are_all_points() -> None:
    positions, weights = choose_points(np.array([1.0, 3.0]), 5, np.random.default_rng(0))
    assert positions.tolist() == [0, 1]
    assert weights.tolist() == [0.25, 0.75]


def test_equal_candidates_are_points_once() -> None:
    positions, weights = choose_points(np.ones(1000), 64, np.random.default_rng(0))
    assert len(positions) == 64
    np.testing.assert_allclose(weights, 1 / 64)


def test_the_mean_over_the_points_is_that_over_the_candidates() -> None:
    rng = np.random.default_rng(0)
    weight, values = rng.exponential(size=1000), rng.normal(size=1000)
    means = []
    for seed in range(400):
        positions, weights = choose_points(weight, 64, np.random.default_rng(seed))
        means.append(values[positions] @ weights)
    expected = values @ weight / weight.sum()
    assert abs(np.mean(means) - expected) < 4 * np.std(means) / np.sqrt(400)


def test_the_density_is_largest_at_the_budget() -> None:
    log_total = np.log([50.0, 100.0, 200.0])
    density = density_at(100.0, log_total, np.full(3, 0.01))
    assert density[1] == 1.0
    assert density[[0, 2]] == pytest.approx(np.exp(-(np.log(2) ** 2) / 0.02))
    # However far from all of them, one is nearest.
    assert density_at(1e9, log_total, np.full(3, 1e-4)).tolist() == [0.0, 0.0, 1.0]
