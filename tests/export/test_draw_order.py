"""Draws beyond the first ones stay within the reach that is told of them."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from bayeslat.export.draw_order import order_draws


def heavy_tailed(configs: int = 30, draws: int = 400) -> NDArray[np.float64]:
    rng = np.random.default_rng(0)
    return rng.standard_normal((configs, 5)) @ rng.standard_t(3, (5, draws))


@pytest.mark.parametrize("draws", [3, 40, 400])
def test_all_others_are_within_reach(draws: int) -> None:
    logs = heavy_tailed(draws=draws)
    order, reach = order_draws(logs)
    away = (logs - logs.mean(axis=1, keepdims=True)) / logs.std(axis=1, keepdims=True)
    assert sorted(order) == list(range(draws))
    for first, low, high in reach[1:]:
        others = away[:, order[first:]]
        assert -low <= others.min()
        assert others.max() <= high
    _, low, high = reach[0]
    assert np.all(np.sum(away < -low - 1e-9, axis=1) <= 1)
    assert np.all(np.sum(away > high + 1e-9, axis=1) <= 1)


def test_the_first_are_the_outermost() -> None:
    logs = heavy_tailed()
    away = (logs - logs.mean(axis=1, keepdims=True)) / logs.std(axis=1, keepdims=True)
    _, reach = order_draws(logs)
    for first, low, high in reach[1:]:
        # Without the order, draws as far as any may be among the others.
        assert away[:, first:].max() > 1.2 * high or -away[:, first:].min() > 1.2 * low
    assert [first for first, _, _ in reach] == [0, 25, 100]


def test_draws_that_are_all_alike_have_no_reach() -> None:
    _, reach = order_draws(np.ones((4, 50)))
    assert [each[1:] for each in reach] == [(0.0, 0.0)] * 3
