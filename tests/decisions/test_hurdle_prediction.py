"""Predictions of a stage that often takes no time."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.special import ndtri
from scipy.stats import kstest

from bayeslat.decisions.hurdle_prediction import HurdlePrediction
from bayeslat.decisions.prediction import Prediction
from bayeslat.decisions.run_exceeds import exceed_given
from bayeslat.decisions.stage_prediction import StagePrediction
from bayeslat.decisions.suggest.pose import pose
from bayeslat.evaluation.metrics import pit
from bayeslat.fitting import fit
from bayeslat.inference.posteriors.thin_draws import DRAWS, thin_draws
from bayeslat.posterior import Posterior
from tests.hurdles import BELOW_MS, SPEC, effects_of, make_trace
from tests.predictions import prediction_of

GPU = "h100_sxm"
# Of runs that take no time: 0.03 ms, with a spread of 20 %.
BELOW = 0.03 * np.exp(0.2 * ndtri((np.arange(64) + 0.5) / 64))
FIRST = np.zeros(1, dtype=int)
ROWS = np.array([20.0])
CONFIGS = pd.DataFrame({"waiting": [0.0, 5.0, 10.0, 20.0], "usage": [0.0, 0.5, 0.5, 1.0]})


@lru_cache(maxsize=1)
def posterior() -> Posterior:
    return fit(SPEC, make_trace(400, effects_of(0, 0.5)), engine="laplace")


@lru_cache(maxsize=2)
def prediction(of: str = "run") -> Prediction:
    return posterior().predict(CONFIGS, GPU, of=of)  # type: ignore[arg-type]


def stage(chance: float, draws: int = 2000, **changes: Any) -> StagePrediction:
    """A stage of 10 ms, with noise of 10 %, that takes time with a given chance."""
    rng = np.random.default_rng(0)
    rank = (rng.permutation(draws) + 0.5) / draws
    fields: dict[str, Any] = {
        "typical_ms": np.full((1, draws), 10.0),
        "log_noise": 0.1 * rng.standard_normal((1, draws)),
        "noise_sd": np.full((1, draws), 0.1),
        "times": np.ones(1),
        "excess": np.zeros((1, 1)),
        "coordinates": ("waiting",),
        "hurdle": HurdlePrediction(np.full((1, draws), chance), rank, BELOW[None], FIRST, ROWS),
    }
    return StagePrediction(**{**fields, **changes})


def test_as_many_draws_take_time_as_the_chance_says() -> None:
    for chance in (0.0, 0.3, 1.0):
        assert (stage(chance).run_ms > 1.0).mean() == pytest.approx(chance, abs=1e-3)


def test_the_median_run_takes_time_if_most_do() -> None:
    np.testing.assert_allclose(stage(0.4).median_ms, 0.03, rtol=1e-4)
    # Of runs of which 80 % take time, the median is their 37.5 % quantile; of 55 %, their 9.1 %.
    np.testing.assert_allclose(stage(0.8).median_ms, 10.0 * np.exp(0.1 * -0.3186), rtol=1e-3)
    np.testing.assert_allclose(stage(0.55).median_ms, 10.0 * np.exp(0.1 * -1.3352), rtol=1e-3)


def test_mean_and_variance_are_those_of_the_mixture_of_both_kinds_of_runs() -> None:
    below = HurdlePrediction(
        np.array([[0.0, 0.3, 1.0]]), np.full(3, 0.5), np.array([[1.0, 3.0]]), FIRST, ROWS
    )
    noise = np.log([[0.5, 1.0, 1.5]])  # of mean 1 and mean square 7/6
    part = stage(0.3, draws=3, log_noise=noise, noise_sd=np.full((1, 3), 0.1), hurdle=below)
    mean, variance = part.moments_ms()
    np.testing.assert_allclose(mean, [[2.0, 0.3 * 10.0 + 0.7 * 2.0, 10.0]])
    mixed = 0.3 * 700.0 / 6.0 + 0.7 * 5.0 - 4.4**2
    np.testing.assert_allclose(variance, [[1.0, mixed, 100.0 / 6.0]])


def test_a_typical_run_is_the_median_one_with_what_is_the_configurations_own() -> None:
    run, typical = (prediction(of).stages["queueing"] for of in ("run", "typical"))
    assert run.hurdle is not None
    own = posterior().data.stages["queueing"].noise_shared
    assert 0.0 < own < 1.0
    of_a_run = run.hurdle.medians(run.typical_ms, np.sqrt(1.0 - own) * run.noise_sd, run.noise_dof)
    np.testing.assert_array_equal(typical.typical_ms, of_a_run)
    assert typical.hurdle is None
    assert 0.0 < typical.log_noise.std() < run.log_noise.std()


@pytest.mark.parametrize("chance", [0.0, 0.3, 0.9])
@pytest.mark.parametrize("budget_ms", [0.03, 0.5, 9.0, 10.0, 12.0])
def test_p_exceed_is_the_share_of_runs_over_the_budget(chance: float, budget_ms: float) -> None:
    part = stage(chance, draws=40_000)
    found = exceed_given([part], budget_ms, add=False).mean()
    expected = (part.run_ms > budget_ms).mean()
    assert found == pytest.approx(expected, abs=0.002 + 4 * np.sqrt(0.25 / 40_000))


@pytest.mark.parametrize("budget_ms", [4.0, 11.0, 15.0, 25.0])
def test_p_exceed_of_a_sum_is_over_both_ways_of_each_hurdle(budget_ms: float) -> None:
    draws = 40_000
    rng = np.random.default_rng(3)
    first = stage(0.3, draws=draws)
    second = stage(0.6, draws=draws)
    assert second.hurdle is not None
    other = replace(second.hurdle, rank=rng.permutation(second.hurdle.rank))
    second = stage(0.6, draws=draws, hurdle=other, log_noise=0.1 * rng.standard_normal((1, draws)))
    always = stage(1.0, draws=draws, hurdle=None, typical_ms=np.full((1, draws), 4.0),
                   log_noise=0.1 * rng.standard_normal((1, draws)))  # fmt: skip
    parts = [first, second, always]
    runs = np.sum([part.run_ms for part in parts], axis=0)
    found = exceed_given(parts, budget_ms).mean()
    assert found == pytest.approx((runs > budget_ms).mean(), abs=0.004 + 4 * np.sqrt(0.25 / draws))


def test_a_stage_that_does_not_run_keeps_any_budget() -> None:
    never = stage(0.3, times=np.zeros(1))
    assert (exceed_given([never], 1e-6) == 0.0).all()
    assert (exceed_given([never, stage(0.3)], 1e-6) == exceed_given([stage(0.3)], 1e-6)).all()


def test_the_moments_are_those_of_the_runs() -> None:
    part = stage(0.3, draws=40_000)
    mean, variance = part.moments_ms()
    runs = part.run_ms
    assert mean.mean() == pytest.approx(runs.mean(), abs=4 * runs.std() / 200)
    assert variance.mean() == pytest.approx(runs.var(), rel=0.05)


@pytest.mark.parametrize("chance", [0.0, 0.4])
def test_what_few_rows_leave_open_below_the_hurdle_is_drawn(chance: float) -> None:
    """Of a Dirichlet process, P(below q) has the variance q (1 - q) / (rows + 1): Ferguson 1973."""
    runs, draws = 400, 500
    rng = np.random.default_rng(4)
    hurdle = HurdlePrediction(
        chance=np.full((runs, draws), chance),
        rank=rng.permuted((np.arange(runs) + 0.5)[:, None] / runs * np.ones(draws), axis=0),
        quantiles_ms=BELOW[None],
        group=np.zeros(runs, dtype=int),
        below_rows=ROWS,
    )
    above = np.full((runs, draws), 50.0)
    found, fixed = hurdle.redrawn(rng).runs(above), hurdle.runs(above)
    np.testing.assert_array_equal(found == 50.0, fixed == 50.0)
    for level in (0.25, 0.5, 0.9):
        limit = np.interp(level, (np.arange(64) + 0.5) / 64, BELOW)
        share = (found < limit).sum(axis=0) / (found < 50.0).sum(axis=0)
        variance = level * (1 - level) / (ROWS[0] + 1)
        assert share.mean() == pytest.approx(level, abs=4 * np.sqrt(variance / draws) + 0.01)
        assert share.var() == pytest.approx(variance, rel=4 * np.sqrt(2 / draws) + 0.05)
        twin = (fixed < limit).sum(axis=0) / (fixed < 50.0).sum(axis=0)
        assert twin.var() < 0.1 * variance


def test_a_queue_that_grows_is_waited_in_more_often() -> None:
    hurdle = prediction().stages["queueing"].hurdle
    assert hurdle is not None
    chance = hurdle.chance.mean(axis=1)
    assert (np.diff(chance) > 0).all()
    assert chance[0] < 0.15
    assert chance[-1] > 0.9


def test_an_empty_queue_is_predicted_to_take_no_time() -> None:
    frame = prediction("typical").frame
    assert frame["queueing_q50_ms"][0] == pytest.approx(BELOW_MS, rel=0.1)
    assert 20 < frame["queueing_q50_ms"][3] < 60


def test_configs_of_several_stacks_keep_their_hurdles() -> None:
    configs = CONFIGS.assign(stack=["", "new", "", "new"])
    both = posterior().predict(configs, GPU)
    alone = posterior().predict(CONFIGS.iloc[[1, 3]].assign(stack="new"), GPU)
    one, other = both.stages["queueing"].hurdle, alone.stages["queueing"].hurdle
    assert one is not None
    assert other is not None
    np.testing.assert_array_equal(one.chance[[1, 3]], other.chance)
    np.testing.assert_array_equal(one.below_ms[[1, 3]], other.below_ms)


def test_the_predictive_distribution_is_that_of_the_runs() -> None:
    trace = make_trace(1500, effects_of(0, 0.5), seed=77)
    rows = trace[trace["gpu"] == GPU].reset_index(drop=True)
    draws = posterior().predict(rows, GPU).draws("queueing")
    ranks = pit(draws, rows["t_queueing_ms"].to_numpy())
    assert kstest(ranks, "uniform").pvalue > 1e-3


def test_a_distribution_that_takes_every_run_for_a_wait_fails() -> None:
    trace = make_trace(1500, effects_of(0, 0.5), seed=77)
    rows = trace[trace["gpu"] == GPU].reset_index(drop=True)
    part = posterior().predict(rows, GPU).stages["queueing"]
    ranks = pit(part.typical_ms * part.noise, rows["t_queueing_ms"].to_numpy())
    assert kstest(ranks, "uniform").pvalue < 1e-6


def test_where_nobody_waits_the_range_of_those_who_wait_does_not_matter() -> None:
    """An idle server is not beyond what was fitted, though no run that took time was like it."""
    trace = make_trace(400, effects_of(0, 0.2) + np.array([0.0, 6.0, 0.0]))
    waits = trace["t_queueing_ms"] > 1.0
    empty = pd.DataFrame({"waiting": [0.0, 0.0, 30.0], "usage": [0.1, 1.5, 0.5]})
    assert trace.loc[waits, "waiting"].min() > 0.5
    found = fit(SPEC, trace, engine="laplace").predict(empty, GPU)
    part = found.stages["queueing"]
    assert part.hurdle is not None
    assert part.hurdle.chance[0].mean() < 0.02
    leaves = [
        {name for name, value in zip(part.coordinates, row, strict=True) if value}
        for row in part.excess
    ]
    assert leaves[0] == set()
    assert leaves[1] == {"hurdle"}
    assert leaves[2] >= {"hurdle", "waiting"}


def test_mean_and_sd_do_not_hang_on_the_few_draws_that_take_time() -> None:
    """In a table they are the closed ones, which the parts of the sd add up to."""
    part = stage(0.004, draws=400)
    predicted = prediction_of(CONFIGS.head(1), {"queueing": part})
    row = predicted.frame.iloc[0]
    mean = 0.004 * 10.0 * np.exp(0.1**2 / 2) + 0.996 * BELOW.mean()
    for name in ("queueing", "total"):
        assert row[f"{name}_mean_ms"] == pytest.approx(mean, rel=0.01)
        parts = np.hypot(row[f"{name}_epistemic_sd_ms"], row[f"{name}_aleatoric_sd_ms"])
        assert row[f"{name}_sd_ms"] == pytest.approx(parts)
    draws = predicted.draws("queueing")  # two of 400
    assert abs(draws.mean() / mean - 1) > 0.05


def test_the_mean_of_a_total_is_the_sum_of_its_stages() -> None:
    """Though one alone may take no time; of the draws' own, it is off by 2 %."""
    frame, draws = prediction().frame, prediction().draws().mean(axis=1)
    expected = frame["queueing_mean_ms"] + frame["step_mean_ms"]
    np.testing.assert_allclose(frame["total_mean_ms"], expected, rtol=1e-4)
    assert np.abs(draws / expected - 1.0).max() > 0.01
    parts = [frame[f"total_{name}_sd_ms"] ** 2 for name in ("epistemic", "aleatoric")]
    np.testing.assert_allclose(frame["total_sd_ms"] ** 2, sum(parts))


def test_the_variance_of_a_total_counts_how_often_a_stage_runs() -> None:
    thrice = stage(0.3, times=np.array([3.0]), typical_ms=np.linspace(8.0, 12.0, 2000)[None])
    found = prediction_of(CONFIGS.head(1), {"queueing": thrice})
    mean, variance = thrice.moments_ms()
    of_one = mean.var(axis=1), variance.mean(axis=1)
    np.testing.assert_allclose(found.variance_ms2("queueing"), of_one)
    np.testing.assert_allclose(found.variance_ms2(), 9.0 * np.array(of_one))


def test_the_mean_of_typical_runs_is_that_of_their_draws() -> None:
    predicted = prediction("typical")
    np.testing.assert_allclose(
        predicted.frame["queueing_mean_ms"], predicted.draws("queueing").mean(axis=1)
    )


def test_what_is_to_be_measured_next_is_weighed_by_how_often_a_stage_takes_time() -> None:
    data = thin_draws(posterior().data, DRAWS)
    posed = pose(data, CONFIGS, data.hardware[GPU], "", 0)
    queueing, step = (prediction().stages[name] for name in ("queueing", "step"))
    assert queueing.hurdle is not None
    chance = queueing.hurdle.chance.mean(axis=1)
    assert chance.min() < 0.2 < 0.8 < chance.max()
    logs = [np.log(part.typical_ms).mean(axis=1) for part in (queueing, step)]
    expected_ms = chance * np.exp(logs[0]) + np.exp(logs[1])
    np.testing.assert_allclose(np.exp(posed.log_total), expected_ms, rtol=1e-6)
    np.testing.assert_allclose(posed.stages[1].share, np.exp(logs[1]) / expected_ms, rtol=1e-6)
