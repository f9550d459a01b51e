from __future__ import annotations

import numpy as np
import pytest

from bayeslat.evaluation.baselines import find_baseline
from tests.evaluation.baselines.problem import gpu, make_configs, shared_donors

pytestmark = pytest.mark.xdist_group("baselines")

CONFIGS, NEW = make_configs(25, seed=31), make_configs(10, seed=32)


def predict(factor: np.ndarray | float, count: int = 25) -> tuple[np.ndarray, np.ndarray]:
    """Return how much slower than the source the target is taken to be, by stage."""
    source = shared_donors().source_model().models
    rows = CONFIGS.assign(
        t_prefill_ms=factor * source["prefill"].ms(CONFIGS),
        t_decode_ms=3.0 * source["decode"].ms(CONFIGS),
    ).iloc[:count]
    trained = find_baseline("C_ridge").train(shared_donors())
    found = trained.calibrate(rows, gpu()).predict(NEW).stages
    return (
        found["prefill"] / source["prefill"].ms(NEW),
        found["decode"] / source["decode"].ms(NEW),
    )


@pytest.mark.parametrize("count", [2, 5, 25])
def test_a_constant_factor_is_recovered(count: int) -> None:
    prefill, decode = predict(0.5, count)
    np.testing.assert_allclose(prefill, 0.5)
    np.testing.assert_allclose(decode, 3.0)


def test_a_factor_that_grows_is_followed() -> None:
    prefill, decode = predict((CONFIGS["context"].to_numpy() / 500) ** 0.3)
    expected = (NEW["context"].to_numpy() / 500) ** 0.3
    assert np.abs(prefill / expected - 1).max() < 0.1
    np.testing.assert_allclose(decode, 3.0)  # each stage for itself


def test_chance_is_shrunk() -> None:
    chance = np.exp(0.1 * np.random.default_rng(0).standard_normal(25))
    prefill, _ = predict(chance)
    # The sd of a mean of 25, and nothing of the noise of each.
    assert np.abs(np.log(prefill)).max() < 4 * 0.1 / np.sqrt(25)
