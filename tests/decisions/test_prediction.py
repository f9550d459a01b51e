"""Predictions made by hand, whose probabilities and variances are known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.special import stdtrit
from scipy.stats import norm, qmc

from bayeslat.decisions import run_exceeds
from bayeslat.decisions.prediction import Prediction, StagePrediction
from bayeslat.errors import InputError
from tests.predictions import prediction_of

EPISTEMIC, NOISE = 0.2, 0.1  # sds of log latency
DRAWS = 4001


def lognormal_stage(medians: list[float], times: float = 1.0, shift: int = 0) -> StagePrediction:
    """Latencies whose log is normal; the strata make quantiles nearly exact."""
    standard = norm.ppf((np.arange(DRAWS) + 0.5) / DRAWS)
    rng = np.random.default_rng(shift)
    return StagePrediction(
        typical_ms=np.array(medians)[:, None] * np.exp(EPISTEMIC * rng.permutation(standard)),
        log_noise=(NOISE * rng.permutation(standard))[None],
        noise_sd=np.full((1, DRAWS), NOISE),
        times=np.full(len(medians), times),
        excess=np.zeros((len(medians), 1)),
        coordinates=("log(size)",),
    )


@pytest.fixture
def prediction() -> Prediction:
    stages = {
        "prefill": lognormal_stage([10.0, 40.0]),
        "decode": lognormal_stage([1.0, 2.0], 50, 1),
    }
    return prediction_of(pd.DataFrame({"size": [1, 2]}), stages)


@pytest.mark.parametrize("budget_ms", [7.0, 10.0, 13.0, 40.0])
def test_p_exceed_of_a_lognormal_stage(prediction: Prediction, budget_ms: float) -> None:
    found = prediction.p_exceed(budget_ms, stage="prefill")
    sd = np.hypot(EPISTEMIC, NOISE)
    expected = norm.sf(np.log(budget_ms / np.array([10.0, 40.0])) / sd)
    error = np.sqrt(expected * (1 - expected) / DRAWS)
    assert np.all(np.abs(found - expected) < 4 * error + 1e-4)


def test_p_exceed_of_the_total_is_that_of_its_draws(prediction: Prediction) -> None:
    draws = prediction.draws()
    for budget_ms in (50.0, 65.0, 150.0):
        share = (draws > budget_ms).mean(axis=1)
        error = np.sqrt(share * (1 - share) / DRAWS) + 1e-4
        assert np.all(np.abs(prediction.p_exceed(budget_ms) - share) < 5 * error)


RHO = 0.7


def heavy_tailed(correlation: float | None) -> Prediction:
    """Two stages of alike size, with heavy tails that come together in a run."""
    rng = np.random.default_rng(3)
    stages = {}
    for name, dof in (("prefill", 4.0), ("decode", 7.0)):
        typical = 10.0 * np.exp(0.05 * rng.standard_normal((1, 100)))
        sd = NOISE * np.exp(0.3 * rng.standard_normal((1, 100)))
        noise = sd * rng.standard_t(dof, (1, 100))
        one = np.ones(1)
        stages[name] = StagePrediction(typical, noise, sd, one, np.zeros((1, 1)), ("x",), dof)
    names = list(stages)
    together = None
    if correlation is not None:
        together = pd.DataFrame([[1.0, correlation], [correlation, 1.0]], names, names)
    configs = pd.DataFrame({"size": [1]})
    return prediction_of(configs, stages, together)


def simulated_p_exceed(prediction: Prediction, budget_ms: float) -> float:
    """Every draw with 20,000 runs of its noise, whose normal scores have the correlation."""
    rng = np.random.default_rng(8)
    scores = rng.standard_normal((20_000, 2))
    scores[:, 1] = RHO * scores[:, 0] + np.sqrt(1 - RHO**2) * scores[:, 1]
    runs = [
        stdtrit(part.noise_dof, norm.cdf(scores[:, s]))
        for s, part in enumerate(prediction.stages.values())
    ]
    over = np.zeros(20_000)
    for draw in range(100):
        parts = zip(prediction.stages.values(), runs, strict=True)
        total = sum(p.typical_ms[0, draw] * np.exp(p.noise_sd[0, draw] * run) for p, run in parts)
        over += total > budget_ms
    return float(over.mean() / 100)


def test_p_exceed_holds_for_heavy_tails_that_come_together() -> None:
    together, apart = heavy_tailed(RHO), heavy_tailed(None)
    missed = []
    for budget_ms in (18.0, 20.0, 21.0, 23.0, 26.0):
        expected = simulated_p_exceed(together, budget_ms)
        error = np.sqrt(expected * (1 - expected) / 20_000)  # the runs serve all draws
        assert abs(together.p_exceed(budget_ms)[0] - expected) < 4 * error + 0.002
        missed.append(abs(apart.p_exceed(budget_ms)[0] - expected) - 4 * error)
    assert max(missed) > 0.01  # the twin without the correlation


def noisy_part(share: float, scatter: float, dof: float) -> Prediction:
    """A steady stage, and one that is a small part of a typical run and scatters."""
    one, zero = np.ones(1), np.zeros((1, 1))
    stages = {
        name: StagePrediction(
            np.full((1, 1), typical), zero, np.full((1, 1), sd), one, zero, ("x",), dof
        )
        for name, typical, sd in (("steady", 1 - share, 0.05), ("noisy", share, scatter))
    }
    return prediction_of(pd.DataFrame({"size": [1]}), stages)


@pytest.mark.parametrize("dof", [4.0, np.inf])
@pytest.mark.parametrize(("share", "scatter"), [(0.05, 0.8), (0.1, 0.8), (0.3, 0.8)])
def test_a_small_part_that_scatters_makes_the_tail_of_the_total(
    share: float, scatter: float, dof: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    prediction = noisy_part(share, scatter, dof)
    parts = list(prediction.stages.values())
    scores = qmc.Sobol(2, seed=4).random(2**18)
    runs = stdtrit(min(dof, 1e6), scores) * [part.noise_sd[0, 0] for part in parts]
    total = np.exp(runs) @ [part.typical_ms[0, 0] for part in parts]
    risks = np.array([0.1, 0.05, 0.02, 0.01, 0.003])
    budgets = np.quantile(total, 1 - risks).tolist()
    found = np.array([prediction.p_exceed(budget)[0] for budget in budgets])
    assert np.all((found > 0.75 * risks) & (found < 1.25 * risks))
    monkeypatch.setattr(run_exceeds, "_NOISY", np.inf)  # the broken twin: the body's noise alone
    body = np.array([prediction.p_exceed(budget)[0] for budget in budgets])
    assert np.any(body < 0.5 * risks)


def test_a_part_for_which_the_others_make_up_does_not_exceed_by_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    prediction, names = noisy_part(0.2, 0.8, 10.0), ["steady", "noisy"]

    def found(correlation: float) -> list[float]:
        together = pd.DataFrame([[1.0, correlation], [correlation, 1.0]], names, names)
        one = replace(prediction, noise_correlation=together)
        return [one.p_exceed(budget)[0] for budget in (1.3, 1.6, 2.0)]

    apart, along = found(-0.7), found(0.7)
    monkeypatch.setattr(run_exceeds, "_NOISY", np.inf)
    assert apart == found(-0.7)
    assert along != found(0.7)


def test_p_exceed_is_the_mean_of_the_draws_own() -> None:
    prediction = heavy_tailed(RHO)
    given = prediction.p_exceed_given(21.0)
    assert given.shape == (1, 100)
    np.testing.assert_allclose(given.mean(axis=1), prediction.p_exceed(21.0))
    parts = {
        name: replace(part, noise_sd=1e-9 * part.noise_sd)
        for name, part in prediction.stages.items()
    }
    sure = replace(prediction, stages=parts)  # of runs: what is left are zeros and ones
    np.testing.assert_allclose(sure.p_exceed_given(21.0), sure.typical() > 21.0, atol=1e-9)


@pytest.mark.parametrize("budget_ms", [0.0, -1.0, np.nan, np.inf])
def test_a_budget_is_a_positive_number(prediction: Prediction, budget_ms: float) -> None:
    with pytest.raises(InputError, match="must be a positive number of ms"):
        prediction.p_exceed(budget_ms)


def test_variance_is_split_by_the_law_of_total_variance(prediction: Prediction) -> None:
    epistemic, aleatoric = prediction.variance_ms2("prefill")
    median = np.array([10.0, 40.0])
    mean = median * np.exp(0.5 * (EPISTEMIC**2 + NOISE**2))
    np.testing.assert_allclose(epistemic, mean**2 * np.expm1(EPISTEMIC**2), rtol=0.02)
    second = median**2 * np.exp(2 * EPISTEMIC**2)
    one_run = np.exp(NOISE**2) * np.expm1(NOISE**2)
    np.testing.assert_allclose(aleatoric, second * one_run, rtol=0.02)
    np.testing.assert_allclose(
        epistemic + aleatoric, prediction.draws("prefill").var(axis=1), rtol=0.05
    )


def test_variances_of_independent_stages_add_up(prediction: Prediction) -> None:
    total = prediction.variance_ms2()
    prefill, decode = prediction.variance_ms2("prefill"), prediction.variance_ms2("decode")
    np.testing.assert_allclose(total[1], prefill[1] + 50**2 * decode[1], rtol=1e-12)
    np.testing.assert_allclose(total[0], prefill[0] + 50**2 * decode[0], rtol=0.1)


def test_of_stages_whose_noise_is_one_the_sds_add_up(prediction: Prediction) -> None:
    one, other = (
        replace(part, typical_ms=np.full((2, DRAWS), 3.0)) for part in prediction.stages.values()
    )
    stages = {"prefill": one, "decode": replace(other, log_noise=one.log_noise)}
    correlation = pd.DataFrame(1.0, list(stages), list(stages))
    apart = replace(prediction, stages=stages)
    together = replace(apart, noise_correlation=correlation)
    sd = np.sqrt(apart.variance_ms2("prefill")[1])
    np.testing.assert_allclose(together.variance_ms2()[1], (sd + 50 * sd) ** 2)
    np.testing.assert_allclose(together.variance_ms2()[1], together.draws().var(axis=1))
    np.testing.assert_allclose(apart.variance_ms2()[1], sd**2 + (50 * sd) ** 2)


def test_the_total_counts_each_stage_as_often_as_it_runs(prediction: Prediction) -> None:
    expected = prediction.draws("prefill") + 50 * prediction.draws("decode")
    np.testing.assert_allclose(prediction.draws(), expected)
    expected = prediction.typical("prefill") + 50 * prediction.typical("decode")
    np.testing.assert_allclose(prediction.typical(), expected)


@pytest.mark.parametrize("ask", ["draws", "typical", "variance_ms2"])
def test_an_unknown_stage_names_the_known_ones(prediction: Prediction, ask: str) -> None:
    with pytest.raises(InputError, match="no stage 'vision'; the posterior has prefill, decode"):
        getattr(prediction, ask)("vision")


def test_the_frame_keeps_the_configs_and_replaces_old_predictions(prediction: Prediction) -> None:
    old = prediction.configs.assign(
        note=["a", "b"], total_q50_ms=0.0, extrapolates=True, p_exceed=1
    )
    frame = replace(prediction, configs=old).frame
    assert frame["note"].tolist() == ["a", "b"]
    assert not frame["extrapolates"].any()
    assert "p_exceed" not in frame  # of a budget that nobody knows any more
    np.testing.assert_allclose(frame["total_q50_ms"], prediction.frame["total_q50_ms"])
    assert frame.columns.is_unique


def test_a_long_table_is_summarised_as_its_rows_are() -> None:
    stage = lognormal_stage([float(k) for k in range(1, 601)])
    many = prediction_of(pd.DataFrame({"k": range(600)}), {"s": stage})
    alone = prediction_of(pd.DataFrame({"k": [599]}), {"s": stage.rows(slice(599, 600))})
    pd.testing.assert_frame_equal(many.frame.tail(1).reset_index(drop=True), alone.frame)
    np.testing.assert_array_equal(many.p_exceed(300.0)[-1:], alone.p_exceed(300.0))


def test_what_is_read_off_a_prediction_cannot_change_it(prediction: Prediction) -> None:
    expected = prediction.frame.copy(deep=True)
    stage = next(iter(prediction.stages))
    for draws in (prediction.draws(stage), prediction.typical(stage)):
        with pytest.raises(ValueError, match="read-only"):
            draws *= 0.1
    prediction.draws()[:] = 0.0
    prediction.typical()[:] = 0.0
    frame = prediction.frame
    frame["truth"] = 1.0
    frame.loc[:, "total_point_ms"] = 0.0
    pd.testing.assert_frame_equal(prediction.frame, expected)
