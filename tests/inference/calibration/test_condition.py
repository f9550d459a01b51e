"""Conditioning against closed forms, dense formulas and brute force."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import gammaln, logsumexp
from scipy.stats import multivariate_normal

from bayeslat.inference.calibration import scale_draws
from bayeslat.inference.calibration.calibrate import calibrate_group
from bayeslat.inference.calibration.condition import condition, mean_given
from bayeslat.inference.calibration.marginal import Marginal, Rows
from bayeslat.inference.calibration.population import Population
from bayeslat.inference.calibration.scale_draws import draw_scales, find_mode
from tests.posteriors import make_configs, make_data
from tests.targets import draw_targets, stranger

type Array = NDArray[np.float64]

DRAWS = 4000
TIGHT = 1e-6  # sd of a log noise that is known


def make_rows(seed: int, rows: int, features: int, sd: float = 0.1) -> tuple[Rows, Array]:
    """Draw a design, effects of size one half and rows; some rows count for more than one."""
    rng = np.random.default_rng(seed)
    design = rng.standard_normal((rows, features))
    effects = 0.5 * rng.standard_normal(features)
    weights = np.asarray(rng.choice([0.5, 1.0, 2.0], rows), dtype=float)
    noise = sd / np.sqrt(weights) * rng.standard_normal(rows)
    return Rows(design, design @ effects + noise, weights), effects


def known_scales(features: int, sd: float, seed: int = 0, draws: int = DRAWS) -> Population:
    """A population of centres alone, with a covariance, and a known noise: conjugate."""
    rng = np.random.default_rng(seed)
    root = rng.standard_normal((features, features))
    return Population(
        centre=0.2 + 0.5 * rng.standard_normal((draws, features)) @ root,
        spread=np.zeros((draws, features)),
        departure=np.zeros(1),
        log_noise=np.full(draws, np.log(sd)),
        log_noise_sd=TIGHT,
    )


def heavy_population(features: int = 3, draws: int = DRAWS, seed: int = 0) -> Population:
    """One physics term, the rest residual columns; every scale unknown."""
    rng = np.random.default_rng(seed)
    return Population(
        centre=0.1 + 0.05 * rng.standard_normal((draws, features)),
        spread=np.exp(rng.normal(np.log(0.3), 0.3, (draws, features))),
        departure=np.zeros(1),
        log_noise=rng.normal(np.log(0.1), 0.2, draws),
        log_noise_sd=0.5,
    )


def conjugate(rows: Rows, mean: Array, prior: Array, sd: float) -> tuple[Array, Array]:
    """Mean and covariance of the effects, by precisions."""
    weighted = rows.design.T * rows.weights / sd**2
    covariance = np.linalg.inv(np.linalg.inv(prior) + weighted @ rows.design)
    return covariance @ (np.linalg.solve(prior, mean) + weighted @ rows.response), covariance


def distance(found: Array, mean: Array, covariance: Array) -> tuple[float, float]:
    """Worst error of the moments of draws, in Monte Carlo errors."""
    draws = len(found)
    sd = np.sqrt(np.diag(covariance))
    of_mean = np.abs(found.mean(axis=0) - mean) / sd * np.sqrt(draws)
    scatter = np.cov(found.T) - covariance
    error = np.sqrt((np.outer(sd, sd) ** 2 + covariance**2) / draws)
    return float(of_mean.max()), float((np.abs(scatter) / error).max())


@pytest.mark.parametrize("count", [1, 3, 40])
def test_with_known_scales_draws_have_the_conjugate_moments(count: int) -> None:
    rows, _ = make_rows(1, count, 4)
    population = known_scales(4, sd=0.1)
    drawn = condition(Marginal(population, rows, 1.0), np.random.default_rng(2))
    mean, covariance = conjugate(rows, population.mean, population.covariance, 0.1)
    assert max(distance(drawn.effects, mean, covariance)) < 4.0
    np.testing.assert_allclose(drawn.noise_sd, 0.1, rtol=1e-4)
    # The broken twin: a noise a tenth larger.
    mean, covariance = conjugate(rows, population.mean, population.covariance, 0.11)
    assert count < 40 or max(distance(drawn.effects, mean, covariance)) > 4.0


def test_inflated_noise_is_the_rows_and_not_the_groups() -> None:
    rows, _ = make_rows(1, 40, 4)
    population = known_scales(4, sd=0.1)
    drawn = condition(Marginal(population, rows, 1.3), np.random.default_rng(2))
    mean, covariance = conjugate(rows, population.mean, population.covariance, 0.13)
    assert max(distance(drawn.effects, mean, covariance)) < 4.0
    np.testing.assert_allclose(drawn.noise_sd, 0.1, rtol=1e-4)


@pytest.mark.parametrize("count", [2, 3, 40])
def test_the_marginal_likelihood_is_that_of_the_dense_normal(count: int) -> None:
    rows, _ = make_rows(3, count, 3)
    population = heavy_population()
    marginal = Marginal(population, rows, float(np.exp(0.1)))
    rng = np.random.default_rng(4)
    scores = rng.standard_normal((6, 3 + marginal.coordinates))
    assert marginal.coordinates == 3
    found = marginal.log_likelihood(marginal.variance(scores), marginal.log_sd(scores))
    mean, loadings = population.log_spread
    spread = np.exp(mean + scores[:, 3:] @ loadings)
    middle, sd = population.noise
    expected = []
    for each in range(6):
        factor = np.exp(scores[each, [0, 1, 1]])
        prior = np.diag((factor * spread[each]) ** 2) + population.covariance
        noise = np.exp(middle + sd * scores[each, 2] + 0.1)
        # A row that counts for two is a row with half the variance.
        dense = rows.design @ prior @ rows.design.T + np.diag(noise**2 / rows.weights)
        density = multivariate_normal(rows.design @ population.mean, dense).logpdf(rows.response)
        # ... but for the further, free rows, which the mean of two stands for.
        expected.append(density - (rows.weights.sum() - count) * np.log(noise))
    np.testing.assert_allclose(found - found[0], np.array(expected) - expected[0], rtol=1e-7)


def test_fewer_rows_say_the_same() -> None:
    """Reduced to as many rows as features, the likelihood of any effects and noise stays."""
    rows, _ = make_rows(5, 30, 4)
    reduced = rows.reduced
    assert reduced.design.shape == (4, 4)
    rng = np.random.default_rng(6)
    found, expected = [], []
    for _ in range(5):
        effects, sd = rng.standard_normal(4), float(np.exp(rng.standard_normal()))
        square = np.sum((reduced.response - reduced.design @ effects) ** 2) + reduced.rest
        found.append(-0.5 * square / sd**2 - (4 + reduced.free) * np.log(sd))
        square = np.sum(rows.weights * (rows.response - rows.design @ effects) ** 2)
        expected.append(-0.5 * square / sd**2 - rows.weights.sum() * np.log(sd))
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def brute_force(population: Population, rows: Rows) -> tuple[Array, Array, tuple[float, float]]:
    """Posterior over a grid of (factor, noise): weights, noise axis, effect (mean, sd)."""
    factors, noises = np.linspace(-2.5, 4.5, 61), np.linspace(-4.5, 4.5, 61)
    log_weight = np.empty((len(factors), len(noises)))
    means, variances = np.empty_like(log_weight), np.empty_like(log_weight)
    spread, log_noise = float(population.spread[0, 0]), float(population.log_noise[0])
    for i, log_factor in enumerate(factors):
        prior = population.covariance + (spread * np.exp(log_factor)) ** 2
        # The square of the factor is 4 / chi2 with four degrees of freedom.
        chi2 = 4 * np.exp(-2 * log_factor)
        density = 2 * np.log(chi2) - chi2 / 2 - 2 * np.log(2) - gammaln(2)
        for j, noise in enumerate(noises):
            sd = np.exp(log_noise + population.log_noise_sd * noise)
            dense = rows.design @ prior @ rows.design.T + sd**2 * np.eye(len(rows.response))
            fit = multivariate_normal(rows.design @ population.mean, dense)
            log_weight[i, j] = fit.logpdf(rows.response) + density - noise**2 / 2
            mean, covariance = conjugate(rows, population.mean, prior, float(sd))
            means[i, j], variances[i, j] = mean[0], covariance[0, 0]
    weight = np.exp(log_weight - logsumexp(log_weight))
    middle = float(np.sum(weight * means))
    second = float(np.sum(weight * (variances + means**2)))
    return weight, noises, (middle, float(np.sqrt(second - middle**2)))


@pytest.mark.parametrize("effect", [0.1, 2.0])  # typical, and far from the population
def test_weighted_scales_agree_with_a_grid(effect: float) -> None:
    rng = np.random.default_rng(7)
    design = np.ones((6, 1))
    rows = Rows(design, effect + 0.15 * rng.standard_normal(6), np.ones(6))
    one = heavy_population(1)
    population = replace(
        one,
        spread=np.full((DRAWS, 1), 0.3),
        log_noise=np.full(DRAWS, np.log(0.1)),
    )
    weight, noises, (mean, sd) = brute_force(population, rows)
    drawn = condition(Marginal(population, rows, 1.0), np.random.default_rng(8))
    assert drawn.effective_draws > DRAWS / 3
    error = 1 / np.sqrt(drawn.effective_draws)
    assert abs(drawn.effects.mean() - mean) < 4 * sd * error
    assert abs(drawn.effects.std() / sd - 1) < 6 * error  # tails heavier than the normal's
    noise = (np.log(drawn.noise_sd) - np.log(0.1)) / 0.5
    of_noise = weight.sum(axis=0)
    centre = float(of_noise @ noises)
    width = float(np.sqrt(of_noise @ (noises - centre) ** 2))
    assert abs(noise.mean() - centre) < 4 * width * error
    assert abs(noise.std() / width - 1) < 4 * error
    # The broken twin: a noise that is not integrated is too sure of it.
    fixed = condition(
        Marginal(replace(population, log_noise_sd=0.1), rows, 1.0), np.random.default_rng(8)
    )
    scatter = (np.log(fixed.noise_sd) - np.log(0.1)).std() / 0.5
    assert abs(scatter / width - 1) > 4 * error


def test_the_law_of_the_spread_has_the_moments_of_its_draws() -> None:
    rng = np.random.default_rng(3)
    root = rng.standard_normal((2, 3))  # two coordinates of three features
    logs = np.log(0.3) + rng.standard_normal((DRAWS, 2)) @ root
    population = replace(heavy_population(3), spread=np.exp(logs))
    mean, loadings = population.log_spread
    assert loadings.shape == (2, 3)
    np.testing.assert_allclose(mean, logs.mean(axis=0))
    np.testing.assert_allclose(loadings.T @ loadings, np.cov(logs.T, bias=True), atol=1e-9)
    middle, sd = population.noise
    assert middle == pytest.approx(population.log_noise.mean())
    assert sd == pytest.approx(np.hypot(0.5, population.log_noise.std()))


def plain_monte_carlo(marginal: Marginal, draws: int = 400_000) -> tuple[Array, Array]:
    """Mean of the scores and of their squares given the rows, by weighing draws of the prior."""
    rng = np.random.default_rng(10)
    chi2 = rng.chisquare(4.0, (draws, marginal.plain - 1))
    normals = rng.standard_normal((draws, 1 + marginal.coordinates))
    scores = np.column_stack([0.5 * np.log(4.0 / chi2), normals])
    parts = np.array_split(scores, 40)
    logs = np.concatenate(
        [marginal.log_likelihood(marginal.variance(each), marginal.log_sd(each)) for each in parts]
    )
    weight = np.exp(logs - logsumexp(logs))
    assert 1.0 / np.sum(weight**2) > 2000
    return weight @ scores, weight @ scores**2


@pytest.mark.parametrize("count", [3, 12])
def test_weighted_scales_agree_with_those_of_the_prior_weighed(count: int) -> None:
    """Scales of a group whose effects are small in one feature, and large in another."""
    rng = np.random.default_rng(9)
    design = rng.standard_normal((count, 3))
    response = design @ np.array([0.1, 0.7, 0.1]) + 0.1 * rng.standard_normal(count)
    marginal = Marginal(heavy_population(3), Rows(design, response, np.ones(count)), 1.0)
    mean, square = plain_monte_carlo(marginal)
    drawn = draw_scales(marginal, DRAWS, np.random.default_rng(2))
    assert drawn.effective > DRAWS / 4
    sd = np.sqrt(square - mean**2)
    error = sd * np.sqrt(1 / drawn.effective + 1 / 2000)
    assert (np.abs(drawn.weight @ drawn.scores - mean) < 4 * error).all()
    found = np.sqrt(drawn.weight @ drawn.scores**2 - (drawn.weight @ drawn.scores) ** 2)
    assert (np.abs(found / sd - 1) < 8 / np.sqrt(drawn.effective)).all()
    # The broken twin: rows that tell nothing of the scales.
    prior = np.column_stack([np.zeros((1, 2)), np.zeros((1, 1 + marginal.coordinates))])
    assert (np.abs(prior - mean) > 4 * error).any()


def test_rows_that_leave_most_effects_open_leave_many_draws() -> None:
    """As those of a group that is far from its population, which no rows tell in which features."""
    features, rng = 16, np.random.default_rng(4)
    spread = np.exp(rng.normal(np.log(0.05), 1.2, (DRAWS, features)))
    population = replace(heavy_population(features), spread=spread, log_noise_sd=0.2)
    effects = 0.1 + 0.1 * rng.standard_normal(features)
    effects[:3] *= 20.0
    design = rng.standard_normal((200, 3)) @ rng.standard_normal((3, features))
    response = design @ effects + 0.02 * rng.standard_normal(200)
    marginal = Marginal(population, Rows(design, response, np.ones(200)), 1.0)
    drawn = draw_scales(marginal, 512, np.random.default_rng(5))
    assert drawn.effective > 40
    more = draw_scales(marginal, 8 * 512, np.random.default_rng(6))
    middle = more.weight @ more.scores
    sd = np.sqrt(more.weight @ more.scores**2 - middle**2)
    error = sd * np.sqrt(1 / drawn.effective + 1 / more.effective)
    assert (np.abs(drawn.weight @ drawn.scores - middle) < 4 * error).all()
    # The broken twin: the first round alone, by the mode and the curvature there.
    assert _first_round(marginal) < 10


def test_noise_may_depart_farther_than_its_prior_says() -> None:
    """Of a fitted group, whose noise is known well: more rows tell that it has doubled."""
    rng, count = np.random.default_rng(7), 2000
    population = replace(
        known_scales(1, 0.1), log_noise_sd=0.03, centre=1e-3 * rng.standard_normal((DRAWS, 1))
    )
    rows = Rows(np.ones((count, 1)), 0.2 * rng.standard_normal(count), np.ones(count))
    drawn = condition(Marginal(population, rows, 1.0), np.random.default_rng(2))
    # The mode: of a normal with so many rows, and of a log normal prior.
    logs = np.linspace(0.0, 1.0, 10_001)
    square = float(np.mean(rows.response**2)) / 0.1**2
    density = -0.5 * count * (square * np.exp(-2 * logs) + 2 * logs) - 0.5 * (logs / 0.03) ** 2
    expected = float(np.exp(logs[density.argmax()]))
    assert expected > 1.5
    assert np.median(drawn.noise_sd) / 0.1 == pytest.approx(expected, rel=0.02)


def _first_round(marginal: Marginal) -> float:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scale_draws, "_ROUNDS", 1)
        return draw_scales(marginal, 512, np.random.default_rng(5)).effective


def test_the_mean_given_scales_is_the_conjugate_one() -> None:
    rows, _ = make_rows(11, 20, 3)
    population = heavy_population()
    scores = np.array([0.3, -0.2, 0.5])
    effects, covariance, sd = mean_given(Marginal(population, rows, 1.2), scores)
    spread = np.exp(np.log(population.spread).mean(axis=0))
    prior = population.covariance + np.diag((spread * np.exp(scores[[0, 1, 1]])) ** 2)
    noise = float(np.exp(population.log_noise.mean() + population.noise[1] * scores[2]))
    mean, expected = conjugate(rows, population.mean, prior, 1.2 * noise)
    np.testing.assert_allclose(effects, mean, rtol=1e-8)
    np.testing.assert_allclose(covariance, expected, rtol=1e-6, atol=1e-12)
    assert sd == pytest.approx(noise)


def test_the_mode_is_a_maximum() -> None:
    rows, _ = make_rows(12, 30, 3, sd=0.3)
    population = heavy_population()
    mode = find_mode(Marginal(population, rows, 1.0))
    marginal = Marginal(population, rows, 1.0)

    def density(scores: Array) -> float:
        variance, log_sd = marginal.variance(scores[None]), marginal.log_sd(scores[None])
        likelihood = marginal.log_likelihood(variance, log_sd)
        return float((likelihood + marginal.log_prior(scores[None]))[0])

    best = density(mode)
    assert best > density(np.zeros(3)) + 1.0  # it moved
    for step in 0.2 * np.concatenate([np.eye(3), -np.eye(3)]):
        assert density(mode + step) < best + 0.01


@pytest.mark.xdist_group("small posterior")
@pytest.mark.parametrize("count", [5, 25, 50, 100])
def test_many_draws_carry_the_weight(count: int) -> None:
    """Of 512; at 100 rows, which pin the noise, 4 of 256 did before the spread was proposed too."""
    data = make_data()
    effective = []
    for truth in draw_targets(data, make_configs(count, seed=3), 5, seed=4):
        found = calibrate_group(data, truth.frame, stranger(), "")
        stages = found.targets["l40s", ""].stages
        effective += [part.effective_draws for part in stages.values()]
    assert min(effective) >= 100
