from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.stats import halfnorm, kstest, norm

from bayeslat.model.scales import FAMILY_SHARE, NOISE, NOISE_RATIO, STACK_RATIO, ScaleLayout

LAYOUT = ScaleLayout(
    offset_names=("launch", "residual"),
    offset_prior=(0.6, 0.04),
    shared_names=("residual",),
    shared_prior=(0.2,),
    groups=("a@v1", "a@v2", "b"),
    has_families=True,
    has_stacks=True,
)
WITHOUT = ScaleLayout(("launch",), (0.6,), (), (), ("a",), has_families=False, has_stacks=False)


def test_names_in_order() -> None:
    assert LAYOUT.names == (
        "offset_scale[launch]",
        "offset_scale[residual]",
        "shared_scale[residual]",
        "family_share",
        "stack_ratio",
        "noise",
        "noise_ratio[a@v1]",
        "noise_ratio[a@v2]",
        "noise_ratio[b]",
    )
    assert WITHOUT.names == ("offset_scale[launch]", "noise", "noise_ratio[a]")
    assert (LAYOUT.size, WITHOUT.size) == (9, 3)


@pytest.mark.parametrize("layout", [LAYOUT, WITHOUT], ids=["all levels", "no levels"])
def test_every_scale_has_its_stated_prior(layout: ScaleLayout) -> None:
    """Kolmogorov-Smirnov on 2000 draws each, at 1 % over the 9 of them; seed fixed."""
    rng = np.random.default_rng(20)
    draws = np.array([layout.draw_prior(rng) for _ in range(2000)])
    stated = {
        "offset_scale[launch]": halfnorm(scale=0.6),
        "offset_scale[residual]": halfnorm(scale=0.04),
        "shared_scale[residual]": halfnorm(scale=0.2),
        "family_share": norm(FAMILY_SHARE.mean, FAMILY_SHARE.sd),
        "stack_ratio": norm(STACK_RATIO.mean, STACK_RATIO.sd),
        "noise": norm(NOISE.mean, NOISE.sd),
    }
    for name, draw in zip(layout.names, draws.T, strict=True):
        prior = stated.get(name, norm(NOISE_RATIO.mean, NOISE_RATIO.sd))
        values = np.exp(draw) if prior.support()[0] == 0 else draw
        assert kstest(values, prior.cdf).pvalue > 0.01 / 9, name
        assert kstest(1.3 * values, prior.cdf).pvalue < 0.01 / 9, name


def test_a_scale_that_rows_have_no_say_in_stays_at_the_median_of_its_prior() -> None:
    """However far its score is asked to go; the others are as they were."""
    untold = replace(LAYOUT, untold=("launch",))
    scores = np.array([0.0, 8.0, -8.0])[:, None] * np.eye(9)[0]
    scales = np.exp(untold.from_scores(scores)[:, 0])
    np.testing.assert_allclose(scales[0], halfnorm(scale=0.6).median())
    assert 1.0 < scales[1] / scales[0] < 1.6
    assert 1.0 < scales[0] / scales[2] < 1.6
    assert np.exp(LAYOUT.from_scores(scores)[1, 0]) > 4.0  # the broken twin
    draw = np.linspace(-1.0, 1.0, 9)
    np.testing.assert_array_equal(untold.from_scores(draw)[1:], LAYOUT.from_scores(draw)[1:])
    assert untold.names == LAYOUT.names


def test_named_draws_are_positive_numbers_and_shares() -> None:
    scales = np.log([0.5, 0.03, 0.1, 3.0, 0.4, 0.02, 1.0, 1.1, 0.9])  # a logit of log 3: share 3/4
    named = LAYOUT.name_draws(np.tile(scales, (4, 5, 1)))
    expected: dict[str, Any] = {
        "offset_scale": [0.5, 0.03],
        "shared_scale": [0.1],
        "family_share": 0.75,
        "stack_ratio": 0.4,
        "noise": 0.02,
        "noise_ratio": [1.0, 1.1, 0.9],
    }
    assert list(named) == list(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(named[name], np.broadcast_to(value, named[name].shape))
        assert named[name].shape == (4, 5, *np.shape(value))


def test_levels_that_do_not_exist_have_no_name() -> None:
    named = WITHOUT.name_draws(np.log([0.5, 0.02, 1.1]))
    assert list(named) == ["offset_scale", "shared_scale", "noise", "noise_ratio"]
    assert named["noise"] == pytest.approx(0.02)
    np.testing.assert_allclose(named["noise_ratio"], [1.1])


def test_draws_follow_their_seed() -> None:
    first, again = (LAYOUT.draw_prior(np.random.default_rng(3)) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, LAYOUT.draw_prior(np.random.default_rng(4)))
