"""Stratified values have the laws of independent ones, and much less noise."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from bayeslat.inference.rows.strata import stratified_normal, stratified_uniform


@pytest.mark.parametrize("shape", [(7,), (7, 1), (7, 3), (1,), (1, 2)])
def test_every_stratum_of_every_variable_is_met_once(shape: tuple[int, ...]) -> None:
    places = stratified_uniform(shape, np.random.default_rng(0))
    assert places.shape == shape
    middles = (np.arange(shape[0]) + 0.5) / shape[0]
    columns = places.reshape(shape[0], -1)
    np.testing.assert_allclose(np.sort(columns, axis=0), np.tile(middles, (columns.shape[1], 1)).T)


def test_variables_and_seeds_have_orders_of_their_own() -> None:
    one, two = (stratified_uniform((400, 8), np.random.default_rng(seed)) for seed in (0, 1))
    pairs = np.corrcoef(np.hstack([one, two]).T) - np.eye(16)
    assert np.abs(pairs).max() < 4.5 / np.sqrt(400)  # 120 pairs of independent orders


def test_normals_are_at_the_quantiles() -> None:
    found = stratified_normal((99, 2), np.random.default_rng(0))
    expected = norm.ppf((np.arange(99) + 0.5) / 99)
    np.testing.assert_allclose(np.sort(found, axis=0)[:, 1], expected)
