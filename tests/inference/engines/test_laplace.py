"""The Laplace engine against a long run of NUTS on the same problem, and on the same fit."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
from arviz_stats.base import array_stats

import bayeslat
from bayeslat.inference.engines import laplace
from bayeslat.inference.engines.laplace import _propose, sample_laplace
from bayeslat.inference.engines.mode import find_mode
from bayeslat.inference.engines.nuts import sample_nuts
from bayeslat.model.collapsed_data import collapse
from tests.posteriors import make_configs, make_frame, small_spec
from tests.problems import CASES, LONE, Case, make_case
from tests.regressions import Array

pytestmark = pytest.mark.xdist_group("laplace long run")

MAX_ERRORS = 4.0
DRAWS = 4000
PROPOSALS = 8000
WORTH = 0.4 * DRAWS
"""Draws resampled from weights that are worth more than 0.4 of the proposals."""


class Moments(NamedTuple):
    """Mean and sd of each scale, with their Monte Carlo errors. Shapes (scale,)."""

    mean: Array
    sd: Array
    mean_error: Array
    sd_error: Array


@pytest.fixture(scope="module")
def small() -> Case:
    return make_case(11, LONE, degree=1, rows=30)


@pytest.fixture(scope="module")
def long_run(small: Case) -> Moments:
    scales = sample_nuts(small.problem, 1, chains=2, draws=5000, tune=300).scales
    errors = [array_stats.mcse(scales, 0, 1, method=method) for method in ("mean", "sd")]
    return Moments(scales.mean(axis=(0, 1)), scales.std(axis=(0, 1)), *errors)


def independent(draws: Array, count: float) -> Moments:
    """Moments of draws (draw, scale) worth so many independent ones."""
    sd = draws.std(axis=0)
    kurtosis = np.mean((draws - draws.mean(axis=0)) ** 4, axis=0) / sd**4
    return Moments(
        draws.mean(axis=0),
        sd,
        sd / np.sqrt(count),
        0.5 * sd * np.sqrt((kurtosis - 1) / count),
    )


def apart(one: Moments, other: Moments) -> Array:
    """Differences of means, then of sds, in Monte Carlo errors. Shape (2 x scale,)."""
    mean = (one.mean - other.mean) / np.hypot(one.mean_error, other.mean_error)
    sd = (one.sd - other.sd) / np.hypot(one.sd_error, other.sd_error)
    return np.abs(np.concatenate([mean, sd]))


def test_scales_have_the_mean_and_sd_of_a_long_run(small: Case, long_run: Moments) -> None:
    drawn = sample_laplace(small.problem, 2, proposals=PROPOSALS, draws=DRAWS).scales[0]
    assert apart(independent(drawn, WORTH), long_run).max() < MAX_ERRORS


def test_the_gaussian_at_the_mode_is_not_enough(small: Case, long_run: Moments) -> None:
    """The broken twin: without weights, and without a second round."""
    mode = find_mode(collapse(small.problem))
    white = np.random.default_rng(3).standard_normal((DRAWS, len(mode.centre)))
    drawn = small.problem.layout.from_scores(mode.centre + white @ mode.root.T)
    assert apart(independent(drawn, WORTH), long_run).max() > 2 * MAX_ERRORS


def effective_sizes(case: Case) -> tuple[float, float, float]:
    """Kish's effective size of each round of 800, and the Pareto shape of the second."""
    data, rng = collapse(case.problem), np.random.default_rng(4)
    first = _propose(find_mode(data), data, 800, rng)
    second = _propose(first.fitted(), data, 800, rng)
    assert second.weights.sum() == pytest.approx(1.0, rel=1e-12)
    one, two = (float(1 / np.sum(each.weights**2)) for each in (first, second))
    return one, two, second.pareto_k


@pytest.mark.parametrize("name", CASES)
def test_the_second_round_is_worth_more_than_the_first(name: str) -> None:
    first, second, pareto_k = effective_sizes(make_case(11, **CASES[name]))
    assert second > max(first, 120)
    assert pareto_k < 0.7


def test_the_weights_that_moments_rest_on_are_worth_what_they_are_said_to(small: Case) -> None:
    assert effective_sizes(small)[1] / 800 > WORTH / DRAWS


@pytest.mark.parametrize("name", CASES)
def test_every_shape_of_problem_is_drawn(name: str) -> None:
    problem = make_case(11, **CASES[name]).problem
    drawn = sample_laplace(problem, 5)
    nodes, features = len(problem.tree.names) + 1, len(problem.features.names)
    assert drawn.scales.shape == (1, 400, problem.layout.size)
    assert drawn.effects.shape == (1, 400, nodes, features)
    assert np.all(np.isfinite(drawn.effects))
    assert drawn.statistics["pareto_k"].shape == (1, 400)


def test_the_seed_alone_decides(small: Case) -> None:
    one, same, other = (sample_laplace(small.problem, seed) for seed in (6, 6, 7))
    np.testing.assert_array_equal(one.scales, same.scales)
    np.testing.assert_array_equal(one.effects, same.effects)
    assert (one.scales != other.scales).any()


def test_without_rows_scales_have_their_prior() -> None:
    problem = make_case(8, LONE, rows=0).problem
    drawn = sample_laplace(problem, 9, proposals=PROPOSALS, draws=DRAWS).scales[0]
    rng = np.random.default_rng(10)
    prior = np.array([problem.layout.draw_prior(rng) for _ in range(DRAWS)])
    assert apart(independent(drawn, WORTH), independent(prior, DRAWS)).max() < MAX_ERRORS


def test_predictions_are_those_of_nuts() -> None:
    """Mean within 2 %, sd within 15 %, on measured GPUs and one that was not."""
    frame = make_frame(11, gpus=("a100_sxm", "h100_sxm", "l40s"), rows=40)
    configs = make_configs(20, seed=12)
    nuts = bayeslat.fit(small_spec(), frame, chains=2, draws=800, tune=200)
    laplace = bayeslat.fit(small_spec(), frame, engine="laplace")
    assert laplace.diagnostics.converged
    for gpu in ("a100_sxm", "l40s"):
        left, right = (each.predict(configs, gpu).frame for each in (laplace, nuts))
        for stage in ("prefill", "decode", "total"):
            mean = left[f"{stage}_mean_ms"] / right[f"{stage}_mean_ms"]
            sd = left[f"{stage}_sd_ms"] / right[f"{stage}_sd_ms"]
            np.testing.assert_allclose(mean, 1.0, atol=0.02)
            np.testing.assert_allclose(sd, 1.0, atol=0.15)


MANY = {f"gpu{at}": f"family{at % 5}" for at in range(60)}
"""So many GPUs that their noise ratios make a hundred proposals a dimension too few."""


def test_of_many_scales_too_the_weights_are_worth_something(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    case = make_case(13, MANY, degree=1, rows=80)
    assert case.problem.layout.size > 60
    _, second, pareto_k = effective_sizes(case)
    assert second > 200
    assert pareto_k < 0.7
    # The broken twin: heavy tails in every direction, and a covariance of all of them.
    monkeypatch.setattr(laplace, "FEW_SCALES", 1000)
    assert effective_sizes(case)[1] < 50


def test_many_scales_have_the_mean_and_sd_of_a_long_run() -> None:
    case = make_case(13, MANY, degree=1, rows=80)
    drawn = sample_laplace(case.problem, 2, proposals=4000, draws=2000).scales[0]
    scales = sample_nuts(case.problem, 1, chains=2, draws=1500, tune=300).scales
    errors = [array_stats.mcse(scales, 0, 1, method=method) for method in ("mean", "sd")]
    run = Moments(scales.mean(axis=(0, 1)), scales.std(axis=(0, 1)), *errors)
    # Of some 130 comparisons, the largest is beyond 4.5 in one of a thousand runs.
    assert apart(independent(drawn, 0.3 * 2000), run).max() < 4.5
