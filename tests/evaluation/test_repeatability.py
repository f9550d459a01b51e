"""How far runs of one configuration are apart."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from bayeslat.evaluation.repeatability import run_to_run_error


def test_each_run_is_compared_with_the_median_of_the_others() -> None:
    configs = pd.DataFrame({"context": [1, 2, 1, 1, 2, 3]})
    ms = np.array([12.0, 30.0, 8.0, 10.0, 40.0, 77.0])
    # Of 1: 12 against 9, 8 against 11, 10 against 10; of 2: 30 against 40 and back; 3 ran once.
    first, second = (1 / 3 + 3 / 11) / 3, (1 / 4 + 1 / 3) / 2
    assert run_to_run_error(configs, ms) == pytest.approx((first + second) / 2)


def test_the_order_of_the_runs_does_not_matter() -> None:
    """Of the first runs alone, a slow first pass would be all that is seen."""
    configs = pd.DataFrame({"context": [1, 2, 1, 2, 1, 2]})
    ms = np.array([20.0, 30.0, 10.0, 15.0, 10.0, 15.0])
    expected = run_to_run_error(configs, ms)
    backwards = run_to_run_error(configs[::-1].reset_index(drop=True), ms[::-1])
    assert backwards == pytest.approx(expected)


def test_what_was_not_measured_does_not_count() -> None:
    configs = pd.DataFrame({"context": [1, 1, 1, 2, 2]})
    ms = np.array([np.nan, 12.0, 10.0, 5.0, np.nan])
    assert run_to_run_error(configs, ms) == pytest.approx((1 / 5 + 1 / 6) / 2)


@pytest.mark.parametrize("ms", [[1.0, 2.0], [np.nan, np.nan]])
def test_without_repeats_it_is_unknown(ms: list[float]) -> None:
    assert math.isnan(run_to_run_error(pd.DataFrame({"context": [1, 2]}), np.array(ms)))


def test_of_lognormal_noise_it_is_that_of_two_runs() -> None:
    rng = np.random.default_rng(0)
    sd, count = 0.05, 20_000
    configs = pd.DataFrame({"context": np.tile(np.arange(count), 2)})
    ms = 100.0 * np.exp(sd * rng.standard_normal(2 * count))
    # |difference of two normals| has the mean 2 sd / sqrt(pi).
    expected = 2 * sd / math.sqrt(math.pi)
    error = sd * math.sqrt(2 - 4 / math.pi) / math.sqrt(count)
    assert run_to_run_error(configs, ms) == pytest.approx(expected, abs=4 * error + 0.05 * sd)
