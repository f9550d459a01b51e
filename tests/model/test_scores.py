"""Scores under N(0, 1) must give every scale exactly its stated prior."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import erfcinv, erfinv
from scipy.stats import norm

from bayeslat.model.scores import scales_from_scores

SCORES = np.array([-7.9, -5.0, -2.0, -1e-3, 0.0, 1e-3, 0.7, 2.0, 5.0, 7.9])


def half_normal_log(scores: np.ndarray, width: float = 0.3) -> tuple[np.ndarray, np.ndarray]:
    size = len(scores)
    return scales_from_scores(scores, np.full(size, width), np.tile([0.0, 1.0], (size, 1)))


def normal_log(scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    size = len(scores)
    return scales_from_scores(scores, np.zeros(size), np.tile([-1.2, 0.7], (size, 1)))


def test_half_normal_quantiles() -> None:
    sizes = np.exp(half_normal_log(SCORES)[0])
    low, high = SCORES < 0, SCORES >= 0
    # P(|z| < x) = erf(x / sqrt 2); each half by the tail that is small there, for precision.
    width = 0.3 * np.sqrt(2)
    np.testing.assert_allclose(sizes[low], width * erfinv(norm.cdf(SCORES[low])), rtol=1e-12)
    np.testing.assert_allclose(sizes[high], width * erfcinv(norm.sf(SCORES[high])), rtol=1e-12)


def test_normal_quantiles() -> None:
    np.testing.assert_allclose(normal_log(SCORES)[0], -1.2 + 0.7 * SCORES, rtol=1e-14)


@pytest.mark.parametrize("transform", [half_normal_log, normal_log])
def test_slopes_are_those_of_central_differences(transform) -> None:  # type: ignore[no-untyped-def]
    step = 1e-5
    expected = (transform(SCORES + step)[0] - transform(SCORES - step)[0]) / (2 * step)
    np.testing.assert_allclose(transform(SCORES)[1], expected, rtol=1e-8)


@pytest.mark.parametrize("transform", [half_normal_log, normal_log])
def test_scales_stay_beyond_all_probability(transform) -> None:  # type: ignore[no-untyped-def]
    far = np.array([-1e300, -50.0, -8.0 - 1e-9, 8.0 + 1e-9, 50.0, 1e300])
    scales, slope = transform(far)
    edge = transform(np.array([-8.0, 8.0]))[0]
    np.testing.assert_array_equal(scales, np.repeat(edge, 3))
    assert not slope.any()


def test_scales_grow_with_their_scores() -> None:
    grid = np.linspace(-8, 8, 4001)
    assert np.all(np.diff(half_normal_log(grid)[0]) > 0)


def test_the_width_is_a_unit() -> None:
    np.testing.assert_allclose(
        half_normal_log(SCORES, 3.0)[0], half_normal_log(SCORES)[0] + np.log(10), rtol=1e-12
    )
