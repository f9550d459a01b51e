"""What the command promises: how often it is wrong, and how often it finds a shift of 5 %."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest, kstest

from bayeslat.evaluation.drift import find_drift
from bayeslat.inference.fitting.fit import fit_posterior
from bayeslat.inference.posteriors.posterior import PosteriorData
from bayeslat.model.simulate import draw_parameters, simulate
from tests.drifts import make_scene
from tests.posteriors import GPUS, make_configs, small_spec, with_noise_shared

type Fake = Callable[[PosteriorData], PosteriorData]

FITS, WINDOWS, ROWS, FITTED = 100, 5, 60, 100
ALARM_RATE = 0.05
LEAST_SHARE = 1 / 3

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("drift rates")]


def stable_windows(fake: Fake | None = None, fits: int = FITS) -> tuple[np.ndarray, np.ndarray]:
    """Simulate GPUs, fit them, and compare later rows of the same GPUs.

    The model is right here, and the posterior is taken at its word: with an allowance, alarms are
    rarer still.

    Returns
    -------
    alarms : ndarray of bool, shape (window,)
        Of any GPU and stage.
    p_values : ndarray, shape (window, gpu and stage)
    """
    alarms, p_values = [], []
    spec = small_spec()
    for seed in range(fits):
        configs = make_configs(FITTED + WINDOWS * ROWS, seed)
        truth = draw_parameters(spec, GPUS, configs=configs, seed=seed)
        frame = simulate(spec, configs, GPUS, parameters=truth, seed=seed)
        row = frame.groupby("gpu").cumcount().to_numpy()
        data = fit_posterior(spec, _part(frame, row < FITTED), engine="laplace", seed=seed)
        data = fake(data) if fake else data
        for window in range(WINDOWS):
            start = FITTED + window * ROWS
            later = _part(frame, (row >= start) & (row < start + ROWS))
            found = find_drift(data, later, alarm_rate=ALARM_RATE, allowance=0.0, seed=window)
            alarms.append(bool(found.drifted))
            p_values.append([each.p_value for each in found.stages])
    return np.array(alarms), np.array(p_values)


def _part(frame: pd.DataFrame, rows: np.ndarray) -> pd.DataFrame:
    return frame[rows].reset_index(drop=True)


def too_sure(data: PosteriorData) -> PosteriorData:
    """Believe the mean of the effects, and that they miss nothing: no doubt about any coefficient.

    A posterior that may miss something of a configuration has that doubt left.
    """
    stages = {
        stage: replace(part, effects=np.broadcast_to(part.effects.mean(axis=0), part.effects.shape))
        for stage, part in data.stages.items()
    }
    return with_noise_shared(replace(data, stages=stages), 0.0)


def test_false_alarms_are_as_rare_as_stated() -> None:
    """500 windows of 100 fits; windows of one fit share its errors, so fits are what is counted."""
    alarms, p_values = stable_windows()
    assert len(alarms) == 500
    by_fit = alarms.reshape(FITS, WINDOWS).mean(axis=1)
    error = by_fit.std(ddof=1) / np.sqrt(FITS)
    assert by_fit.mean() <= ALARM_RATE + 2.5 * error
    # One window a fit: independent, but for the stages and GPUs of a call.
    first = p_values.reshape(FITS, WINDOWS, -1)[:, 0]
    assert min(kstest(column, "uniform").pvalue for column in first.T) > 0.001 / first.shape[1]


def test_a_posterior_that_is_too_sure_raises_more() -> None:
    """The broken twin of the rate."""
    alarms, _ = stable_windows(too_sure, fits=30)
    assert binomtest(int(alarms.sum()), len(alarms)).proportion_ci(0.99).low > ALARM_RATE


@pytest.mark.parametrize(
    ("stage", "term"), [("prefill", "compute"), ("decode", "memory"), ("decode", "launch")]
)
def test_a_shift_of_five_percent_is_found_within_200_rows(stage: str, term: str) -> None:
    """Of coefficients with at least a third of the stage's time, at a noise of 3 %.

    Of weaker ones, benchmarks/bench_drift tells how many are found.
    """
    found = shifts(stage, term)
    assert len(found) >= 40
    assert binomtest(sum(found), len(found)).proportion_ci(0.95).high >= 0.9
    assert np.mean(found) >= 0.9


def test_a_posterior_that_doubts_all_finds_none() -> None:
    """The broken twin of the power: one that has seen GPUs ten times as noisy."""
    assert np.mean(shifts("decode", "memory", noisy)) < 0.5


def noisy(data: PosteriorData) -> PosteriorData:
    stages = {}
    for stage, part in data.stages.items():
        noise = np.array([name == "noise" for name in part.problem.layout.names])
        stages[stage] = replace(part, scales=part.scales + np.log(10.0) * noise)
    return replace(data, stages=stages)


def shifts(stage: str, term: str, fake: Fake | None = None) -> list[bool]:
    """Tell in which windows a shift of 5 % was found: 20 of each truth in which the term counts."""
    found = []
    for seed in range(3):
        scene = make_scene(seed)
        data = fake(scene.data) if fake else scene.data
        for number in range(20):
            window = scene.window(number, shift=0.05, stage=stage, term=term)
            stages = {each.stage: each for each in find_drift(data, window, seed=number).stages}
            share = {each.feature: each.share for each in stages[stage].changes}[term]
            if share < LEAST_SHARE:
                break
            found.append(stages[stage].verdict == "drift")
    return found
