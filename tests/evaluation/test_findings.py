"""What a posterior does not expect is told, and seldom anything else."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom

from bayeslat.decisions.evidence import Unmeasured
from bayeslat.decisions.prediction import Prediction, StagePrediction
from bayeslat.evaluation.findings import BIAS, Departure, describe, find_departures
from bayeslat.evaluation.replicates import simulate_tables
from tests.predictions import prediction_of

DRAWS, ROWS, POSTERIORS = 256, 40, 200
NOISE = 0.05
EVERY_ROW = np.ones(ROWS, dtype=bool)


def make_prediction(rng: np.random.Generator, epistemic: float) -> Prediction:
    """One stage, whose GPU is `epistemic` unsure in all rows alike, and its noise level by half."""
    noise_sd = NOISE * np.exp(0.4 * rng.standard_normal(DRAWS))
    stage = StagePrediction(
        typical_ms=np.tile(10 * np.exp(epistemic * rng.standard_normal(DRAWS)), (ROWS, 1)),
        log_noise=(noise_sd * rng.standard_normal(DRAWS))[None],
        noise_sd=noise_sd[None],
        times=np.full(ROWS, 3.0),
        excess=np.zeros((ROWS, 1)),
        coordinates=("size",),
    )
    return prediction_of(pd.DataFrame(index=range(ROWS)), {"s": stage})


def measure(rng: np.random.Generator, epistemic: float) -> np.ndarray:
    """One GPU of those that the posterior expects, with its own noise level."""
    noise_sd = NOISE * np.exp(0.4 * rng.standard_normal())
    log_ms = epistemic * rng.standard_normal() + noise_sd * rng.standard_normal(ROWS)
    return np.asarray(10 * np.exp(log_ms))


def test_rows_of_a_table_share_their_gpu_and_not_their_noise() -> None:
    prediction = make_prediction(np.random.default_rng(0), 0.5)
    logs = np.log(simulate_tables(prediction, "s", EVERY_ROW, 0))
    part = prediction.stages["s"]
    np.testing.assert_allclose(
        logs.mean(axis=0), np.log(part.typical_ms[0]), atol=4 * 3 * NOISE / np.sqrt(ROWS)
    )
    within = logs.std(axis=0) / part.noise_sd[0]
    assert abs(np.median(within) - 1) < 4 / np.sqrt(2 * ROWS)
    assert np.corrcoef(logs.std(axis=0), part.noise_sd[0])[0, 1] > 0.9


def test_tables_of_the_total_count_each_stage_as_often_as_it_runs() -> None:
    prediction = make_prediction(np.random.default_rng(0), 0.1)
    total, stage = (simulate_tables(prediction, name, EVERY_ROW, 0) for name in ("total", "s"))
    np.testing.assert_allclose(total, 3 * stage)


def test_rows_that_were_not_measured_are_not_simulated() -> None:
    prediction = make_prediction(np.random.default_rng(0), 0.1)
    assert simulate_tables(prediction, "s", np.arange(ROWS) < 7, 0).shape == (7, DRAWS)


def binomial_alarm(prediction: Prediction, latency: np.ndarray) -> bool:
    """The broken twin: rows counted as if each had a GPU of its own."""
    frame = prediction.frame
    inside = ((frame["s_q05_ms"] <= latency) & (latency <= frame["s_q95_ms"])).sum()
    low, high = binom.interval(0.999, ROWS, 0.9)
    return not low <= inside <= high


@pytest.mark.parametrize("epistemic", [0.001, 0.05, 0.5])
def test_false_alarms_are_as_seldom_as_stated(epistemic: float) -> None:
    rng = np.random.default_rng(5)
    alarms, twin = 0, 0
    for _ in range(POSTERIORS):
        prediction, latency = make_prediction(rng, epistemic), measure(rng, epistemic)
        alarms += bool(find_departures(prediction, "s", latency))
        twin += binomial_alarm(prediction, latency)
    # Three statistics, each 2 / (draws + 1) at most.
    most = binom.ppf(0.999, POSTERIORS, 3 * 2 / (DRAWS + 1))
    assert alarms <= most
    if epistemic >= NOISE:
        assert twin > most


@pytest.mark.parametrize(
    ("factor", "name"),
    [(1.2, "90 % intervals cover"), (1.2, "50 % intervals cover"), (1.2, "median error")],
)
def test_a_gpu_that_changed_is_found(factor: float, name: str) -> None:
    rng = np.random.default_rng(6)
    prediction, latency = make_prediction(rng, 0.01), 10 * np.exp(NOISE * rng.standard_normal(ROWS))
    assert not find_departures(prediction, "s", latency)
    found = find_departures(prediction, "s", factor * latency)
    assert any(each.statistic.startswith(name) for each in found)


def test_a_gpu_that_is_faster_or_steadier_than_expected_is_found() -> None:
    rng = np.random.default_rng(6)
    prediction = make_prediction(rng, 0.01)
    error = NOISE * rng.standard_normal(ROWS)
    faster = find_departures(prediction, "s", 8 * np.exp(error))
    assert any(each.statistic == BIAS and each.observed > each.high > 0 for each in faster)
    steadier = find_departures(prediction, "s", 10 * np.exp(0.02 * error))
    assert [each.statistic for each in steadier] == ["50 % intervals cover"]
    assert steadier[0].observed == 1.0 > steadier[0].high


def test_a_stranger_far_from_what_was_expected_is_found_by_its_median_error() -> None:
    rng = np.random.default_rng(7)
    prediction = make_prediction(rng, 0.5)
    latency = 10 * np.exp(NOISE * rng.standard_normal(ROWS))
    (found,) = find_departures(prediction, "s", 20 * latency)
    assert found.statistic == BIAS
    assert found.observed < found.low < 0 < found.high


def test_nothing_measured_is_no_departure() -> None:
    prediction = make_prediction(np.random.default_rng(0), 0.1)
    assert find_departures(prediction, "s", np.full(ROWS, np.nan)) == ()


LOW = Departure("90 % intervals cover", 0.25, 0.7, 1.0)
HIGH = Departure("50 % intervals cover", 0.9, 0.2, 0.8)
OFF = Departure(BIAS, -0.5, -0.012, 0.0149)


@pytest.mark.parametrize(
    ("departures", "marks", "message"),
    [
        (
            (LOW,),
            ("", False),
            "intervals cover 25.0% (70.0% to 100.0% expected); give the stage a physics term",
        ),
        ((HIGH,), ("gpu", False), "cover 90.0% (20.0% to 80.0% expected); they are wider than"),
        ((HIGH,), ("", True), "wider than they need be: fitted rows out there narrow them"),
        ((OFF,), ("gpu", True), "point -50.0% (-1.2% to +1.5% expected); this GPU is unlike"),
        ((OFF,), ("stack", False), "expected); this stack is unlike what was measured of the GPU"),
        ((HIGH,), ("stack", False), "they need be: measured rows of this stack narrow them"),
        ((OFF,), ("name", False), "these rows name no stack, and the GPU was measured with"),
        ((OFF,), ("stage", False), "this GPU has no fitted rows of a stage"),
        ((OFF,), ("", True), "these rows leave the range of the fit"),
        (
            (HIGH, OFF),
            ("", False),
            "or fit these rows too, if the fit did not have them",
        ),  # wide as they are, they are off
    ],
)
def test_findings_have_numbers_and_a_cure(
    departures: tuple[Departure, ...], marks: tuple[Unmeasured, bool], message: str
) -> None:
    text = describe(departures, unmeasured=marks[0], beyond=marks[1])
    assert message in text
