from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy.stats import norm

from bayeslat.evaluation.uniformity import rank_among, uniformity_p

DRAWS, SIMULATIONS = 99, 200


def ranks_of(quantiles: np.ndarray) -> np.ndarray:
    """Return ranks whose distribution is that of the given quantiles."""
    return np.floor(quantiles * (DRAWS + 1)).astype(int)


def test_ranks_count_the_draws_below() -> None:
    draws = np.array([[0.0, 5.0], [1.0, 6.0], [2.0, 7.0]])
    assert rank_among(np.array([1.5, 4.0]), draws).tolist() == [2, 0]


def test_the_p_value_is_exact() -> None:
    """Every sample of 4 ranks in 3 bins, counted out: p is the share with no larger a statistic."""
    p = np.array([uniformity_p(np.array(each), 2, bins=3) for each in product(range(3), repeat=4)])
    for level in np.unique(p):
        assert np.mean(p <= level + 1e-12) == pytest.approx(level, abs=1e-12)


def test_uniform_ranks_pass_as_often_as_they_should() -> None:
    rng = np.random.default_rng(1)
    p = np.array([uniformity_p(rng.integers(0, DRAWS + 1, 60), DRAWS, 10) for _ in range(400)])
    # Binomial(400, level): four standard errors either way. Counts are discrete, so p is coarse.
    for level in (0.05, 0.2, 0.5):
        error = np.sqrt(level * (1 - level) / len(p))
        assert abs(np.mean(p <= level) - level) < 4 * error


@pytest.mark.parametrize(
    "quantiles",
    [
        pytest.param(lambda z: norm.cdf(z + 0.4), id="shifted"),
        pytest.param(lambda z: norm.cdf(1.5 * z), id="posterior too narrow"),
        pytest.param(lambda z: norm.cdf(z / 1.5), id="posterior too wide"),
        pytest.param(lambda z: np.where(z > 1.3, 0.0, norm.cdf(z)), id="tail thrown over"),
    ],
)
def test_known_deviations_are_seen(quantiles) -> None:  # type: ignore[no-untyped-def]
    standard = np.random.default_rng(2).standard_normal(SIMULATIONS)
    assert uniformity_p(ranks_of(norm.cdf(standard)), DRAWS) > 0.05
    assert uniformity_p(ranks_of(quantiles(standard)), DRAWS) < 1e-3


def test_bins_must_divide_the_ranks() -> None:
    with pytest.raises(ValueError, match="20 bins do not divide the 101 ranks"):
        uniformity_p(np.array([1]), 100)
