"""Draws beyond the first ones stay within the reach that is told of them."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from bayeslat.export.draw_order import order_draws

type Table = NDArray[np.float64]


def heavy_tailed(configs: int = 30, draws: int = 400, size: float = 0.1) -> Table:
    """Logs of two stages, one of which takes little time and is unsure."""
    rng = np.random.default_rng(0)
    logs = rng.standard_normal((2, configs, 5)) @ rng.standard_t(3, (2, 5, draws))
    return size * logs * np.array([1.0, 3.0])[:, None, None] - np.array([0.0, 2.0])[:, None, None]


def times_of(logs: Table) -> Table:
    times = np.ones(logs.shape[:2])
    times[1, 0] = 0.0  # the second does not run at all
    return times


def sds_away(logs: Table) -> Table:
    """How far draws of the total lie from the reader's middle, in its sds. Shape (config, draw)."""
    times = times_of(logs)
    means = [times[at] * np.exp(own.mean(axis=1)) for at, own in enumerate(logs)]
    first, second = means[0] / (means[0] + means[1]), means[1] / (means[0] + means[1])
    one, two = (own.var(axis=1) for own in logs)
    variance = first**2 * one + second**2 * two
    middle = np.log(means[0] + means[1]) + 0.5 * (first * one + second * two - variance)
    total = np.log(np.exp(logs[0]) + times[1][:, None] * np.exp(logs[1]))
    away: Table = (total - middle[:, None]) / np.sqrt(variance)[:, None]
    return away


@pytest.mark.parametrize("draws", [3, 40, 400])
def test_all_others_are_within_reach(draws: int) -> None:
    logs = heavy_tailed(draws=draws)
    order, reach = order_draws(logs, times_of(logs))
    away = sds_away(logs)
    assert sorted(order) == list(range(draws))
    for first, low, high in reach[1:]:
        others = away[:, order[first:]]
        assert -low <= others.min() + 1e-9
        assert others.max() <= high + 1e-9
    _, low, high = reach[0]
    assert np.all(np.sum(away < -low - 1e-9, axis=1) <= 1)
    assert np.all(np.sum(away > high + 1e-9, axis=1) <= 1)


def test_a_small_stage_that_is_very_unsure_takes_draws_farther_than_their_own_sds() -> None:
    """The reader adds variances up by the stages' shares at the mean: the total's own is larger."""
    logs = heavy_tailed(size=0.3)
    _, reach = order_draws(logs, times_of(logs))
    total = np.log(np.exp(logs[0]) + times_of(logs)[1][:, None] * np.exp(logs[1]))
    own = (total - total.mean(axis=1, keepdims=True)) / total.std(axis=1, keepdims=True)
    assert reach[0][2] > 1.2 * np.sort(own, axis=1)[:, -2].max()


def test_the_first_are_the_outermost() -> None:
    logs = heavy_tailed()
    away = sds_away(logs)
    _, reach = order_draws(logs, times_of(logs))
    for first, low, high in reach[1:]:
        # Without the order, draws as far as any may be among the others.
        assert away[:, first:].max() > 1.2 * high or -away[:, first:].min() > 1.2 * low
    assert [first for first, _, _ in reach] == [0, 25, 100]


def test_draws_that_are_all_alike_have_no_reach() -> None:
    _, reach = order_draws(np.ones((2, 4, 50)), np.ones((2, 4)))
    assert [each[0] for each in reach] == [0, 3, 12]
    np.testing.assert_allclose([each[1:] for each in reach], 0.0, atol=1e-6)
