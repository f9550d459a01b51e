"""Effects and noise of rows with Student-t noise, against closed forms and a grid."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import logsumexp
from scipy.stats import norm, t

from bayeslat.decisions.predict import predict
from bayeslat.inference.calibration.calibrate import calibrate_group
from bayeslat.inference.calibration.condition import condition
from bayeslat.inference.calibration.heavy_tails import HeavyTails
from bayeslat.inference.calibration.marginal import Marginal, Rows
from bayeslat.inference.calibration.population import Population
from bayeslat.inference.posteriors.posterior import PosteriorData
from bayeslat.inference.rows.pilot import pseudo_values
from bayeslat.model.student_t import pseudo_variance
from tests.posteriors import make_configs, make_data, with_noise_shared
from tests.targets import draw_targets, stranger

type Array = NDArray[np.float64]

DRAWS = 4000
DOF = 4.0
SD = 0.1


def population(features: int = 1, *, known: bool = False) -> Population:
    """Centres with a covariance, that GPUs do not depart from; the noise is within a half."""
    rng = np.random.default_rng(1)
    return Population(
        centre=0.2 + 0.5 * rng.standard_normal((DRAWS, features)),
        spread=np.zeros((DRAWS, features)),
        departure=np.zeros(1),
        log_noise=np.full(DRAWS, np.log(SD)),
        log_noise_sd=1e-6 if known else 0.5,
    )


def calmed(of: Population, rows: Rows, dof: float) -> tuple[Marginal, HeavyTails]:
    """Pseudo-values round least squares, which slow rows have drawn to them, and the rows."""
    found = np.linalg.lstsq(rows.design, rows.response)[0]
    fitted = rows.design @ found
    error = rows.response - fitted
    calm = replace(rows, response=pseudo_values(fitted, error, float(error.std()), dof))
    inflation = float(np.sqrt(pseudo_variance(dof)))
    return Marginal(of, calm, inflation), HeavyTails(rows, dof)


def on_a_grid(of: Population, rows: Rows) -> tuple[tuple[float, float], tuple[float, float]]:
    """Mean and sd of the only effect and of the log noise, by their joint density."""
    effect, log_sd = np.linspace(-0.5, 1.5, 801), np.linspace(-4.6, 0.4, 201)
    density = norm(of.mean[0], np.sqrt(of.covariance[0, 0])).logpdf(effect)[:, None]
    density = density + norm(*of.noise).logpdf(log_sd)
    for z, y in zip(rows.design[:, 0], rows.response, strict=True):
        scaled = (y - z * effect)[:, None] / np.exp(log_sd)
        density = density + t(DOF).logpdf(scaled) - log_sd
    weight = np.exp(density - logsumexp(density))

    def moments(at: Array, weights: Array) -> tuple[float, float]:
        mean = float(weights @ at)
        return mean, float(np.sqrt(weights @ (at - mean) ** 2))

    return moments(effect, weight.sum(axis=1)), moments(log_sd, weight.sum(axis=0))


@pytest.mark.parametrize(
    ("count", "slow", "repeats"), [(4, 0, 1), (10, 0, 4), (10, 1, 1), (10, 2, 4), (40, 4, 1)]
)
def test_draws_agree_with_a_grid(count: int, slow: int, repeats: int) -> None:
    rng = np.random.default_rng(3)
    design = np.exp(0.3 * rng.standard_normal((count, 1)))
    response = 0.3 * design[:, 0] + SD * rng.standard_t(DOF, count)
    response[:slow] += np.log(2.0)
    once = Rows(design, response, np.ones(count))
    again = Rows(  # which tells nothing new
        np.repeat(design, repeats, axis=0),
        np.repeat(response, repeats),
        np.full(count * repeats, 1.0 / repeats),
    )
    marginal, heavy = calmed(population(), again, DOF)
    drawn = condition(marginal, np.random.default_rng(4), heavy=heavy)
    (mean, sd), (centre, width) = on_a_grid(marginal.population, once)
    log_sd = np.log(drawn.noise_sd)
    error = 1 / np.sqrt(DRAWS)
    assert abs(drawn.effects.mean() - mean) < 4 * sd * error
    assert abs(drawn.effects.std() / sd - 1) < 6 * error  # tails heavier than the normal's
    assert abs(log_sd.mean() - centre) < 4 * width * error
    assert abs(log_sd.std() / width - 1) < 4 * error
    # The broken twin: pseudo-values alone.
    twin = np.log(condition(marginal, np.random.default_rng(4)).noise_sd)
    off = abs(twin.mean() - centre) / (4 * width * error)
    assert max(off, abs(twin.std() / width - 1) / (4 * error)) > 1.5
    assert slow == 0 or twin.mean() - centre > 0.25


@pytest.mark.parametrize("count", [2, 12])  # fewer rows than effects, and more
def test_nearly_normal_noise_that_is_known_gives_conjugate_moments(count: int) -> None:
    rng = np.random.default_rng(5)
    design = rng.standard_normal((count, 3))
    weights = np.asarray(rng.choice([0.5, 1.0], count), dtype=float)
    response = design @ np.array([0.5, 0.0, -0.5]) + SD * rng.standard_normal(count)
    rows, of = Rows(design, response, weights), population(3, known=True)
    marginal, heavy = calmed(of, rows, 1e6)
    drawn = condition(marginal, np.random.default_rng(6), heavy=heavy)
    told = (design.T * weights) / SD**2
    covariance = np.linalg.inv(np.linalg.inv(of.covariance) + told @ design)
    mean = covariance @ (np.linalg.solve(of.covariance, of.mean) + told @ response)
    error = np.sqrt(np.diag(covariance) / DRAWS)
    np.testing.assert_array_less(np.abs(drawn.effects.mean(axis=0) - mean), 4 * error)
    scatter = np.cov(drawn.effects.T) - covariance
    scale = np.sqrt(np.diag(covariance))
    error = np.sqrt((np.outer(scale, scale) ** 2 + covariance**2) / DRAWS)
    np.testing.assert_array_less(np.abs(scatter), 4 * error)


def test_effects_of_which_the_population_is_sure_stay_put() -> None:
    """The rows alone would have them elsewhere, and a sd of zero has no inverse."""
    sure = population(2)
    sure = replace(sure, centre=np.column_stack([sure.centre[:, 0], np.full(DRAWS, 0.2)]))
    rng = np.random.default_rng(7)
    rows = Rows(rng.standard_normal((8, 2)), rng.standard_normal(8), np.ones(8))
    marginal, heavy = calmed(sure, rows, DOF)
    drawn = condition(marginal, np.random.default_rng(8), heavy=heavy)
    np.testing.assert_allclose(drawn.effects[:, 1], 0.2, atol=1e-4)
    assert drawn.effects[:, 0].std() > 0.01


def heavy_tailed() -> PosteriorData:
    """The small posterior, as if its noise had heavy tails."""
    data = with_noise_shared(make_data(), 0.0)
    stages = {name: replace(part, noise_dof=DOF) for name, part in data.stages.items()}
    return replace(data, stages=stages)


def test_a_slow_run_among_ten_hardly_misleads() -> None:
    """Of pseudo-values alone it made the error 2.5 times as large."""
    data, gpu = heavy_tailed(), stranger()
    truth = next(draw_targets(data, make_configs(60, seed=5), 1, seed=2))
    others = truth.frame.iloc[10:]
    widths, misses = [], []
    for factor in (1.0, 1.9):
        rows = truth.frame[:10].copy()
        rows.loc[rows.index[3], ["t_prefill_ms", "t_decode_ms"]] *= factor
        found = predict(calibrate_group(data, rows, gpu, ""), others, gpu).frame
        logs = {q: np.log(found[f"total_{q}_ms"]) for q in ("q05", "point", "q95")}
        widths.append(float((logs["q95"] - logs["q05"]).median()))
        misses.append(float(np.abs(logs["point"] - np.log(truth.total_ms(data)[10:])).mean()))
    assert widths[1] < 1.7 * widths[0]
    assert misses[1] < misses[0] + 0.01
