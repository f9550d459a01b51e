from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from bayeslat.evaluation.baselines.linear import Linear
from bayeslat.evaluation.baselines.neural import Neural
from bayeslat.evaluation.baselines.polynomial import SOURCE_POLYNOMIAL
from bayeslat.evaluation.baselines.source_models import BY_STAGE, LEARNERS, _held_out
from tests.evaluation.baselines.problem import SPEC, make_configs

RNG = np.random.default_rng(0)
X, NEW = RNG.standard_normal((80, 2)), RNG.uniform(-1, 1, (40, 2))


def line(x: np.ndarray) -> np.ndarray:
    return 0.5 + x @ [1.0, -0.3]


def cubic(x: np.ndarray) -> np.ndarray:
    return line(x) + 0.2 * x[:, 0] * x[:, 1] - 0.1 * x[:, 0] ** 3


def test_a_line_is_recovered_exactly() -> None:
    np.testing.assert_allclose(Linear().fit(X, line(X), seed=0)(NEW), line(NEW))


def test_of_features_that_go_together_the_line_is_shared_out() -> None:
    twice = np.concatenate([X, X[:, :1]], axis=1)
    new = np.concatenate([NEW, NEW[:, :1]], axis=1)
    np.testing.assert_allclose(Linear().fit(twice, line(X), seed=0)(new), line(NEW))


def test_a_cubic_is_recovered() -> None:
    found = SOURCE_POLYNOMIAL.fit(X, cubic(X), seed=0)(NEW)
    assert np.abs(found - cubic(NEW)).max() < 0.01
    assert np.abs(Linear().fit(X, cubic(X), seed=0)(NEW) - cubic(NEW)).max() > 0.1  # a line cannot


def test_a_network_learns_a_cubic() -> None:
    found = Neural().fit(X, cubic(X), seed=0)(NEW)
    assert np.sqrt(np.mean((found - cubic(NEW)) ** 2)) < 0.05
    assert np.sqrt(np.mean((line(NEW) - cubic(NEW)) ** 2)) > 0.05


@pytest.mark.parametrize("name", BY_STAGE)
def test_a_constant_latency_stays_one(name: str) -> None:
    found = LEARNERS[name].fit(X, np.full(80, 2.0), seed=0)(NEW)
    np.testing.assert_allclose(found, 2.0, atol=0.02)


def test_repeats_of_a_config_are_held_out_together() -> None:
    configs = make_configs(40)
    twice = pd.concat([configs, configs], ignore_index=True)
    held = _held_out(twice, SPEC, seed=1)
    np.testing.assert_array_equal(held[:40], held[40:])
    assert 0.2 < held.mean() < 0.3
