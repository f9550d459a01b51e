"""Stages of a run that are noisy together are told from the rows, and predicted so."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bayeslat.decisions.noise_order import noise_orders
from bayeslat.decisions.predict import predict
from bayeslat.decisions.prediction import TOTAL
from bayeslat.evaluation.measured import measured_latencies
from bayeslat.evaluation.metrics import coverage
from bayeslat.evaluation.replicates import simulate_tables
from bayeslat.features.hardware import load_hardware
from bayeslat.inference.fitting.fit import fit_posterior
from bayeslat.inference.posteriors.posterior import PosteriorData
from bayeslat.inference.storage.posterior_file import read_posterior, write_posterior
from tests.posteriors import GPUS, make_configs, make_data, make_frame, small_spec

pytestmark = pytest.mark.xdist_group("noise correlation")

SLOW_SD = 0.2  # of a machine's slow states, in log latency: far above the stages' own noise


def slow_states(frame: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Slow both stages of a run down together, as a neighbour on the machine does."""
    factor = np.exp(SLOW_SD * np.random.default_rng(seed).standard_normal(len(frame)))
    columns = ["t_prefill_ms", "t_decode_ms"]
    return frame.assign(**{name: frame[name] * factor for name in columns})


@lru_cache(maxsize=1)
def together() -> PosteriorData:
    return fit_posterior(small_spec(), slow_states(make_frame(rows=80), 1), engine="laplace")


def test_independent_noise_has_no_correlation() -> None:
    assert make_data().noise_correlation is None


def test_common_slow_states_are_found() -> None:
    found = together().noise_correlation
    assert found is not None
    np.testing.assert_allclose(np.diag(found), 1.0)
    np.testing.assert_array_equal(found, found.T)
    noise = np.exp(make_data().stages["prefill"].scales[:, -4]).mean()
    expected = SLOW_SD**2 / (SLOW_SD**2 + noise**2)  # at least: the other stage is quieter
    error = 1.0 / np.sqrt(len(GPUS) * 80)
    assert found[0, 1] > expected - 4 * error - 0.1


def test_rows_of_a_stage_each_tell_nothing_of_both() -> None:
    frame = slow_states(make_frame(rows=80), 1)
    first = np.arange(len(frame)) % 2 == 0
    frame["t_prefill_ms"] = frame["t_prefill_ms"].where(first)
    frame["t_decode_ms"] = frame["t_decode_ms"].where(~first)
    assert fit_posterior(small_spec(), frame, engine="laplace").noise_correlation is None


def test_each_stage_keeps_its_noise_and_meets_the_others() -> None:
    data = together()
    configs, gpu = make_configs(3), load_hardware().resolve("h100_sxm")
    both, apart = (
        predict(each, configs, gpu) for each in (data, replace(data, noise_correlation=None))
    )
    for stage in data.stages:
        first, second = (
            each.stages[stage].log_noise[0] / each.stages[stage].noise_sd[0]
            for each in (both, apart)
        )
        np.testing.assert_allclose(np.sort(first), np.sort(second))
    noises = [
        np.array([part.log_noise[0] for part in each.stages.values()]) for each in (both, apart)
    ]
    wanted = data.noise_correlation
    assert wanted is not None
    error = 4.0 / np.sqrt(noises[0].shape[1])
    assert np.corrcoef(noises[0])[0, 1] == pytest.approx(wanted[0, 1], abs=error)
    assert abs(np.corrcoef(noises[1])[0, 1]) < error


def test_orders_are_permutations_and_depend_on_the_seed() -> None:
    first, again, other = (noise_orders(together(), 64, seed) for seed in (0, 0, 1))
    for stage, order in first.items():
        assert sorted(order) == list(range(64))
        np.testing.assert_array_equal(order, again[stage])
    assert any(np.any(order != other[stage]) for stage, order in first.items())


def test_the_total_of_new_runs_is_covered_and_the_broken_twin_is_not() -> None:
    data, gpu = together(), load_hardware().resolve("h100_sxm")
    truth = slow_states(make_frame(rows=400), 2)
    rows = truth[truth["gpu"] == "h100_sxm"]
    measured = measured_latencies(small_spec(), rows, gpu)[TOTAL]
    covered = {}
    for name, each in (("both", data), ("apart", replace(data, noise_correlation=None))):
        frame = predict(each, rows, gpu).frame
        low, high = (frame[f"total_{at}_ms"].to_numpy() for at in ("q05", "q95"))
        covered[name] = coverage(low, high, measured)
    error = np.sqrt(0.9 * 0.1 / len(rows))
    assert abs(covered["both"] - 0.9) < 4 * error
    assert covered["apart"] < 0.9 - 2 * error


def test_variance_and_p_exceed_agree_with_the_draws() -> None:
    data, gpu = together(), load_hardware().resolve("h100_sxm")
    prediction = predict(data, make_configs(20), gpu)
    epistemic, aleatoric = prediction.variance_ms2()
    draws = prediction.draws(TOTAL)
    np.testing.assert_allclose(epistemic + aleatoric, draws.var(axis=1), rtol=0.35)
    alone = sum(
        part.times**2 * prediction.variance_ms2(stage)[1]
        for stage, part in prediction.stages.items()
    )
    assert np.all(aleatoric > alone)
    budget = float(np.median(draws))
    direct = (draws > budget).mean(axis=1)
    np.testing.assert_allclose(prediction.p_exceed(budget), direct, atol=0.1)


def test_simulated_tables_are_noisy_together_too() -> None:
    prediction = predict(together(), make_configs(6), load_hardware().resolve("h100_sxm"))
    everything = np.ones(6, dtype=bool)
    tables = {
        stage: simulate_tables(prediction, stage, everything, 0) for stage in prediction.stages
    }
    logs = [np.log(table / prediction.stages[stage].typical_ms) for stage, table in tables.items()]
    assert np.corrcoef(logs[0][0], logs[1][0])[0, 1] > 0.5
    assert abs(np.corrcoef(logs[0][0], logs[0][1])[0, 1]) < 0.2  # runs are apart


def test_the_file_keeps_it(tmp_path: Path) -> None:
    write_posterior(together(), tmp_path / "posterior.nc")
    found = read_posterior(tmp_path / "posterior.nc").noise_correlation
    np.testing.assert_array_equal(found, together().noise_correlation)
