"""What few passes say of how much passes differ."""

from __future__ import annotations

import numpy as np
import pytest

from bayeslat.evaluation.pass_spread import PASS_SDS, VAGUE, pass_sd_quantiles, weigh_pass_sds
from bayeslat.evaluation.uniformity import uniformity_p

KEPT = 99


def ranks(stated: float) -> np.ndarray:
    """Ranks of true sds of three passes among draws, with that part of the noise stated."""
    rng = np.random.default_rng(2)
    found = []
    for truth in rng.choice(PASS_SDS, 1000, p=VAGUE):
        noise = rng.choice([0.005, 0.03])
        effect = truth * rng.standard_normal(3) + noise * rng.standard_normal(3)
        effect -= effect.mean()
        effect_sd = np.full(3, stated * noise * np.sqrt(2 / 3))
        drawn = rng.choice(PASS_SDS, KEPT, p=weigh_pass_sds(effect, effect_sd))
        jitter = rng.random(KEPT + 1)  # many are exactly 0
        ahead = (drawn < truth) | ((drawn == truth) & (jitter[:-1] < jitter[-1]))
        found.append(np.count_nonzero(ahead))
    return np.array(found)


def test_true_sds_are_where_the_probabilities_say() -> None:
    """Simulation-based calibration; the broken twin takes half of the noise for differences."""
    assert uniformity_p(ranks(stated=1.0), KEPT) > 0.01
    assert uniformity_p(ranks(stated=0.5), KEPT) < 1e-4


@pytest.mark.parametrize("most", [0.003, 0.03, 0.3])
def test_before_any_was_measured_passes_are_alike_or_half_cauchy(most: float) -> None:
    """With a scale of 3 %, up to 50 %; 800 steps of 1 % each stand for it."""
    expected = 0.5 + 0.5 * np.arctan(most / 0.03) / np.arctan(0.5 / 0.03)
    assert VAGUE[PASS_SDS == 0.0].sum() == pytest.approx(0.5)
    assert VAGUE[most >= PASS_SDS].sum() == pytest.approx(expected, abs=0.005)


def test_many_passes_tell_it() -> None:
    effect = 0.08 * np.random.default_rng(0).standard_normal(300)
    low, middle, high = pass_sd_quantiles(
        weigh_pass_sds(effect - effect.mean(), np.full(300, 0.02)), (0.05, 0.5, 0.95)
    )
    assert low < 0.08 < high
    assert middle == pytest.approx(np.sqrt(effect.var(ddof=1) - 0.02**2), rel=0.02)
    assert high / low < 1.25


def test_noise_alone_speaks_for_passes_that_are_alike() -> None:
    alike = weigh_pass_sds(np.array([-0.004, 0.001, 0.003]), np.full(3, 0.005))
    apart = weigh_pass_sds(np.array([-0.04, 0.01, 0.03]), np.full(3, 0.005))
    assert alike[0] > VAGUE[0] > apart[0]
    assert apart[0] < 0.01


def test_without_noise_nothing_breaks() -> None:
    for effect in (np.zeros(2), np.array([-0.1, 0.1])):
        weights = weigh_pass_sds(effect, np.zeros(2))
        assert weights.sum() == pytest.approx(1.0)
        assert np.isfinite(weights).all()


def test_what_others_say_counts_until_own_passes_tell() -> None:
    others = weigh_pass_sds(np.linspace(-0.2, 0.2, 20), np.full(20, 0.01))
    little = weigh_pass_sds(np.array([-0.05, 0.05]), np.full(2, 0.1), others)
    plenty = weigh_pass_sds(
        np.linspace(-0.01, 0.01, 60), np.full(60, 0.001), 0.5 * (others + VAGUE)
    )
    assert pass_sd_quantiles(little, [0.5])[0] > 0.08
    assert pass_sd_quantiles(plenty, [0.5])[0] < 0.01
