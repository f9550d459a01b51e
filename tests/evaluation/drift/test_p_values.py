"""P-values are uniform without drift, and are not for a posterior that is too sure."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import kstest

from bayeslat.evaluation.drift.p_values import compare_window, simulate_errors
from bayeslat.evaluation.drift.row_errors import row_errors
from tests.evaluation.drift.windows import make_scores, make_window

CONFIGS = {"once": np.arange(60), "repeated": np.tile(np.arange(15), 4)}


def p_values(config: np.ndarray, dof: float, count: int, doubt: float = 1.0) -> np.ndarray:
    """P-values of windows that the posterior draws, by one that is less sure by a factor."""
    truth = make_window(np.zeros(len(config)), config=config, dof=dof, posterior_sd=0.01)
    errors = replace(row_errors(truth), within=0.4 if len(set(config)) < len(config) else 1.0)
    errors = replace(errors, pairs=10**6 * (errors.within < 1.0))
    drawn = simulate_errors(truth, errors, count, np.random.default_rng(7))
    found = []
    for number, error in enumerate(drawn.T):
        window = replace(truth, error=error, departures=doubt * truth.departures)
        test = compare_window(make_scores(window), 0.01, np.random.default_rng([8, number]))
        found.append([test.p_value, *test.p_tests.values()])
    return np.array(found)


@pytest.mark.parametrize("dof", [4.0, np.inf])
@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_p_values_are_uniform_without_drift(config: np.ndarray, dof: float) -> None:
    found = p_values(config, dof, 100)
    # Five columns: a false failure in one of a thousand.
    assert min(kstest(column, "uniform").pvalue for column in found.T) > 0.001 / 5


def test_a_posterior_that_is_too_sure_is_told_by_them() -> None:
    """The broken twin: a posterior that does not doubt its coefficients."""
    found = p_values(CONFIGS["once"], np.inf, 100, doubt=0.0)
    assert kstest(found[:, 0], "uniform").pvalue < 1e-6


def test_an_allowance_is_a_mean_square_over_the_rows() -> None:
    """In each of the directions of the features alike, and in no other."""
    window = make_window(np.zeros(60), allowance=0.2, residual=2)
    off = window.design @ window.allowed
    np.testing.assert_allclose(np.mean(off**2, axis=0), 0.2**2)
    np.testing.assert_allclose(off.T @ off, 0.2**2 * 60 * np.eye(4), atol=1e-9)
    assert not make_window(np.zeros(60)).allowed.any()


def test_improbable_windows_are_compared_with_more() -> None:
    error = np.random.default_rng(0).standard_normal(60)
    probable = compare_window(make_scores(make_window(error)), 1e-4, np.random.default_rng(0))
    wild = compare_window(make_scores(make_window(error + 3.0)), 1e-4, np.random.default_rng(0))
    assert probable.windows <= 2000
    assert wild.windows == 50_000
    assert wild.p_value == pytest.approx(1 / 50_001)
