"""Effects of passes that are known are found; where there are none, none are."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from numpy.typing import NDArray

from bayeslat.evaluation.pass_effects import PassEffects, estimate_passes

type Array = NDArray[np.float64]
type Labels = NDArray[np.int64]


def simulate(
    effects: Array, *, configs: int = 40, noise: float = 0.1, seed: int = 0, missing: float = 0.0
) -> tuple[Array, Labels, Labels]:
    """Latencies of configurations that differ by far; Student-t noise of 5 degrees of freedom."""
    rng = np.random.default_rng(seed)
    config, label = map(np.ravel, np.indices((configs, len(effects))))
    level = rng.normal(0.0, 2.0, configs)
    values = level[config] + effects[label] + noise * rng.standard_t(5.0, len(config))
    values[rng.random(len(values)) < missing] = np.nan
    return values, config, label


def estimate(*args: Array, **options: float) -> PassEffects:
    found = estimate_passes(*simulate(*args, **options))  # type: ignore[arg-type]
    assert found is not None
    return found


def test_known_effects_are_recovered_within_their_sds() -> None:
    truth = np.array([-0.12, 0.0, 0.05, 0.07])
    scores = []
    for seed in range(100):
        found = estimate(truth, seed=seed, missing=0.2)
        assert found.p_value < 0.01
        scores.append((found.effect - truth) / found.effect_sd)
    square = np.mean(np.square(scores))
    error = np.std(np.mean(np.square(scores), axis=1)) / np.sqrt(len(scores))
    assert abs(square - 1.0) < 4 * error + 0.05  # the sds are of large samples
    assert np.mean(np.abs(scores) > 3.0) < 0.02


def test_noise_is_told() -> None:
    found = estimate(np.array([0.0, 0.3]), configs=400, noise=0.1)
    assert found.noise_sd == pytest.approx(0.1 * 1.2, rel=0.1)  # t5: as M-estimates see it
    assert found.effect_sd == pytest.approx(found.noise_sd / np.sqrt(400) / np.sqrt(2), rel=1e-6)


def test_wild_runs_decide_nothing() -> None:
    values, config, label = simulate(np.array([0.0, 0.15, 0.15]), configs=60)
    clean = estimate_passes(values, config, label)
    wild = values.copy()
    wild[label == 0] += np.where(np.arange(60) % 15 == 0, 4.0, 0.0)
    found = estimate_passes(wild, config, label)
    assert clean is not None
    assert found is not None
    assert np.abs(found.effect - clean.effect).max() < 1.5 * clean.effect_sd.max()
    assert found.p_value < 0.01
    # The broken twin, plain means, has the fastest pass as the slowest.
    assert np.argmax([wild[label == each].mean() for each in range(3)]) == 0
    assert np.argmin(found.effect) == 0


def test_the_p_value_is_that_of_all_exchanges() -> None:
    """Two passes over six configurations: 64 ways in which runs could have come."""
    values, config, label = simulate(np.array([0.0, 0.08]), configs=6, seed=4)
    found = estimate_passes(values, config, label)
    assert found is not None
    difference = np.diff(values.reshape(6, 2), axis=1)[:, 0]
    deviation = np.stack([-difference, difference], axis=1) / 2
    ranks = deviation.ravel().argsort().argsort().reshape(6, 2)
    gap = ranks[:, 1] - ranks[:, 0]
    seen = abs(gap.sum())
    every = [abs(np.dot(signs, gap)) for signs in product((-1, 1), repeat=6)]
    exact = np.mean(np.array(every) >= seen)
    assert 0.05 < exact < 0.9
    assert abs(found.p_value - exact) < 4 * np.sqrt(exact * (1 - exact) / 1999) + 1 / 2000


@pytest.mark.parametrize("level", [pytest.param(0.01, marks=pytest.mark.slow), 0.1])
def test_passes_that_are_alike_are_told_apart_as_seldom_as_stated(level: float) -> None:
    """Heavy tails, holes, twelve configurations; the broken twin has a pass that is slower."""
    runs = 500
    alike, slower = (
        np.array(
            [
                estimate(effects, configs=12, seed=seed, missing=0.15).p_value <= level
                for seed in range(runs)
            ]
        )
        for effects in (np.zeros(3), np.array([0.0, 0.0, 0.15]))
    )
    bound = 4 * np.sqrt(level * (1 - level) / runs)
    assert abs(alike.mean() - level) < bound
    assert slower.mean() > level + bound


def test_a_reference_measured_often_counts_each_time() -> None:
    values, config, label = simulate(np.array([0.0, 0.2]), configs=20)
    rng = np.random.default_rng(1)
    more = np.repeat([0, 1], 30)
    values = np.concatenate([values, 5.0 + 0.2 * more + 0.1 * rng.standard_normal(60)])
    config, label = np.concatenate([config, np.full(60, 99)]), np.concatenate([label, more])
    found = estimate_passes(values, config, label)
    assert found is not None
    assert (found.configs, found.rows) == (21, 100)
    assert np.diff(found.effect)[0] == pytest.approx(0.2, abs=4 * found.effect_sd[0] * np.sqrt(2))


def test_passes_that_share_no_configurations_are_not_compared() -> None:
    values, config, label = simulate(np.array([0.0, 0.3, 0.0]), configs=20)
    other = np.where(label == 2, config + 100, config)  # a pass over others
    found = estimate_passes(values, other, label)
    assert found is not None
    assert found.passes.tolist() == [0, 1]
    assert estimate_passes(values, config + 100 * label, label) is None
    assert estimate_passes(values[:8], config[:8], label[:8]) is None  # three configurations
    assert estimate_passes(np.full(60, np.nan), config, label) is None


def test_rows_of_no_pass_are_left_out() -> None:
    values, config, label = simulate(np.array([0.0, 0.1]))
    values = np.append(values, 50.0)
    found = estimate_passes(values, np.append(config, 0), np.append(label, -1))
    assert found is not None
    assert found.rows == 80


def test_equal_latencies_differ_in_nothing() -> None:
    config, label = map(np.ravel, np.indices((10, 3)))
    found = estimate_passes(config.astype(np.float64), config, label)
    assert found is not None
    assert found.p_value == 1.0
    assert found.spread == 0.0
    assert np.isfinite(found.effect_sd).all()


def test_it_is_the_same_again_and_for_other_orders_of_rows() -> None:
    values, config, label = simulate(np.array([0.0, 0.1]))
    first, again = (estimate_passes(values, config, label, seed=3) for _ in range(2))
    order = np.random.default_rng(0).permutation(len(values))
    turned = estimate_passes(values[order], config[order], label[order], seed=3)
    assert first is not None
    assert again is not None
    assert turned is not None
    assert first.p_value == again.p_value
    assert np.allclose(first.effect, turned.effect)


def test_of_many_passes_and_rows_some_are_looked_at() -> None:
    """A month of passes is told in a second; without a test, the effects are the same."""
    rng = np.random.default_rng(12)
    config, label = (each.ravel() for each in np.indices((400, 100)))
    slower = 0.05 * rng.standard_normal(100)
    values = slower[label] + 0.02 * rng.standard_normal(config.size)
    found = estimate_passes(values, config, label)
    assert found is not None
    assert len(found.passes) == 24
    assert {0, 99} <= set(found.passes)
    assert found.rows <= 3000
    assert found.p_value < 0.001
    expected = slower[found.passes] - slower[found.passes].mean()
    np.testing.assert_allclose(found.effect, expected, atol=5 * found.effect_sd.max())
    untested = estimate_passes(values, config, label, tested=False)
    assert untested is not None
    assert np.isnan(untested.p_value)
    np.testing.assert_array_equal(untested.effect, found.effect)
