"""The noise of a sum of stages, against quasi-Monte Carlo of what it stands for."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri, stdtr, stdtrit
from scipy.stats import qmc

from bayeslat.decisions.run_noise import RunNoise, combine_noise, noise_size

LEVELS = np.linspace(0.01, 0.99, 99)
POINTS = 2**14  # their own error is below 5e-4
GRID = np.linspace(-6.5, 6.5, 5201)


@lru_cache(maxsize=16)
def from_score(dof: float) -> NDArray[np.float64]:
    """Student-t values at `GRID` of normal scores."""
    values: NDArray[np.float64] = stdtrit(min(dof, 1e6), ndtr(GRID))
    return values


@lru_cache(maxsize=1)
def scores() -> NDArray[np.float64]:
    """Quasi-random normals of up to four stages. Shape (point, stage)."""
    uniform: NDArray[np.float64] = qmc.Sobol(4, seed=1).random(POINTS)
    normals: NDArray[np.float64] = ndtri(np.clip(uniform, 1e-9, 1 - 1e-9))
    return normals


def true_quantiles(
    shares: NDArray[np.float64],
    noise_sd: NDArray[np.float64],
    dof: NDArray[np.float64],
    correlation: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Quantiles of log sum_s w_s exp(sigma_s t_s) at `LEVELS`."""
    together = scores()[:, : len(shares)] @ np.linalg.cholesky(correlation).T
    values = [np.interp(together[:, s], GRID, from_score(each)) for s, each in enumerate(dof)]
    noise = np.stack(values, axis=1)
    quantiles: NDArray[np.float64] = np.quantile(np.log(np.exp(noise_sd * noise) @ shares), LEVELS)
    return quantiles


def error(noise: RunNoise, quantiles: NDArray[np.float64]) -> float:
    """Largest error of the distribution function."""
    return float(np.abs(1.0 - noise.p_above(quantiles[None])[0] - LEVELS).max())


def random_sums(
    count: int, typical_sd: float, together: bool, seed: int = 0
) -> Sequence[tuple[NDArray[np.float64], ...]]:
    """Draw shares, noise, degrees of freedom and correlation of two to four stages."""
    rng, sums = np.random.default_rng(seed), []
    for _ in range(count):
        stages = int(rng.integers(2, 5))
        rho = rng.uniform(0.2, 0.9) if together else 0.0
        sums.append(
            (
                rng.dirichlet(np.full(stages, rng.choice([0.5, 1.0, 3.0]))),
                typical_sd * np.exp(rng.normal(0, 0.4, stages)),
                rng.choice(np.array([3.0, 4.0, 5.0, 7.0, 10.0, 20.0, 50.0, np.inf]), stages),
                np.full((stages, stages), rho) + (1 - rho) * np.eye(stages),
            )
        )
    return sums


def combined(case: tuple[NDArray[np.float64], ...]) -> RunNoise:
    shares, noise_sd, dof, correlation = case
    return combine_noise(shares[:, None], noise_sd[:, None], dof, correlation)


@pytest.mark.parametrize("together", [False, True])
@pytest.mark.parametrize(("typical_sd", "most", "worst"), [(0.05, 0.005, 0.008), (0.2, 0.01, 0.02)])
def test_the_sum_is_distributed_as_its_draws(
    typical_sd: float, most: float, worst: float, together: bool
) -> None:
    cases = random_sums(60, typical_sd, together)
    errors = np.array([error(combined(case), true_quantiles(*case)) for case in cases])
    assert np.quantile(errors, 0.9) < most
    assert errors.max() < worst


def test_a_twin_without_shift_correlation_or_common_tails_is_found() -> None:
    cases = random_sums(60, 0.15, together=True)
    truths = [true_quantiles(*case) for case in cases]
    without_shift, apart, heaviest = [], [], []
    for (shares, noise_sd, dof, correlation), truth in zip(cases, truths, strict=True):
        found = combine_noise(shares[:, None], noise_sd[:, None], dof, correlation)
        zero = np.zeros(1)
        without_shift.append(error(RunNoise(zero, found.scale, found.dof, zero), truth))
        apart.append(error(combine_noise(shares[:, None], noise_sd[:, None], dof), truth))
        least = np.full(1, min(dof.min(), 1e6))
        heaviest.append(error(RunNoise(found.shift, found.scale, least, found.bend), truth))
    for errors in (without_shift, apart, heaviest):
        assert np.quantile(errors, 0.9) > 0.015


@pytest.mark.parametrize("dof", [3.0, 4.0, 10.0, np.inf])
def test_a_single_stage_keeps_its_student_t(dof: float) -> None:
    noise = combine_noise(np.ones((1, 1)), np.full((1, 1), 0.1), np.array([dof]))
    values = np.linspace(-1.0, 1.0, 201)
    expected = stdtr(min(dof, 1e6), -values / 0.1)
    np.testing.assert_allclose(noise.p_above(values[None])[0], expected, atol=3e-4)
    assert abs(noise.shift[0]) + abs(noise.bend[0]) < 1e-12


@pytest.mark.parametrize(
    ("dof", "within"), [(2.1, 2e-4), (3.0, 1.1e-5), (5.0, 1e-6), (30.0, 1e-9), (1e6, 1e-9)]
)
def test_student_t_is_as_near_as_its_expansion_says(dof: float, within: float) -> None:
    """Far into the tails, too, of which there is much with few degrees of freedom."""
    one, zero = np.ones(1), np.zeros(1)
    values = np.concatenate([-np.geomspace(1e4, 1e-3, 500), np.geomspace(1e-3, 1e4, 500)])
    found = RunNoise(zero, one, np.full(1, dof), zero).p_above(values[None])[0]
    np.testing.assert_allclose(found, stdtr(dof, -values), atol=within, rtol=0.0)


def test_two_stages_that_move_as_one_are_one() -> None:
    shares, both = np.array([[0.3], [0.7]]), np.full((2, 1), 0.1)
    dof = np.array([4.0, 4.0])
    noise = combine_noise(shares, both, dof, np.ones((2, 2)))
    np.testing.assert_allclose(noise.scale, 0.1, rtol=1e-4)
    np.testing.assert_allclose(noise.dof, 4.0, rtol=0.01)
    np.testing.assert_allclose([noise.shift, noise.bend], 0.0, atol=1e-12)


def test_equal_gaussian_stages_shift_the_log_of_their_sum() -> None:
    """Of two equal stages, log of the sum exceeds the mean noise by log cosh of half their gap."""
    sd = 0.2
    noise = combine_noise(np.full((2, 1), 0.5), np.full((2, 1), sd), np.array([np.inf, np.inf]))
    np.testing.assert_allclose(noise.shift, sd**2 / 4, rtol=1e-4)
    np.testing.assert_allclose(noise.scale, sd / np.sqrt(2), rtol=1e-4)


def test_p_above_falls_everywhere() -> None:
    values = np.linspace(-20.0, 20.0, 4001)
    for case in random_sums(40, 0.4, together=False, seed=3):
        above = combined(case).p_above(values[None])[0]
        assert np.all(np.diff(above) <= 1e-12)
        assert above[0] > 0.99
        assert above[-1] < 0.01


def test_size_compares_sums_as_their_scales_do() -> None:
    dof = np.array([4.0, 10.0])
    shares, noise_sd = np.array([[0.4], [0.6]]), np.array([[0.05], [0.1]])
    one = noise_size(shares * noise_sd, dof)
    twice = noise_size(2 * shares * noise_sd, dof)
    np.testing.assert_allclose(twice, 2 * one)
    scales = [combine_noise(shares, k * noise_sd, dof).scale for k in (1, 2)]
    np.testing.assert_allclose(scales[1] / scales[0], 2.0)
