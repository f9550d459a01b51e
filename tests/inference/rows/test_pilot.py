"""The pilot fit against closed forms and scipy's maximum likelihood."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from bayeslat.inference.rows.pilot import fit_pilot
from tests.regressions import Array, Rows, least_squares, make_rows, slope_errors

NUMERIC = 1e-3  # of the scale: the iteration ends when it moves by 1e-4
MAX_ERRORS = 4.0


def ridge(rows: Rows, weights: Array, prior_sd: Array) -> tuple[Array, Array, float]:
    """Weighted ridge regression and its hat matrix, by QR of the rows with the prior as rows."""
    sd, root = 1.0, np.sqrt(weights)
    features = len(prior_sd)
    for _ in range(200):
        prior_rows = np.diag(sd / prior_sd)
        full = np.concatenate([rows.design * root[:, None], prior_rows])
        solver = np.linalg.pinv(full)
        effect = solver @ np.concatenate([rows.response * root, np.zeros(features)])
        hat = (rows.design @ solver[:, : len(root)]) * root
        residual = rows.response - rows.design @ effect
        sd = float(np.sqrt(weights @ residual**2 / (weights.sum() - np.trace(hat))))
    return rows.design @ effect, hat, sd


@pytest.mark.parametrize("prior_sd", [1e6, 0.3, 0.02])
def test_under_normal_noise_it_is_weighted_ridge_regression(prior_sd: float) -> None:
    rows = make_rows(1, rows=40)
    weights = np.random.default_rng(2).uniform(0.1, 1.0, 40)
    priors = np.full(3, prior_sd)
    pilot = fit_pilot(rows.design, rows.response, weights, priors, np.inf)
    fitted, hat, sd = ridge(rows, weights, priors)
    np.testing.assert_allclose(pilot.fitted, fitted, atol=NUMERIC * sd)
    np.testing.assert_allclose(pilot.residual, rows.response - pilot.fitted, atol=1e-12)
    np.testing.assert_allclose(pilot.leverage, np.diag(hat), atol=NUMERIC)
    assert pilot.sd == pytest.approx(sd, rel=NUMERIC)
    # The broken twin: without the weights it is another fit.
    unweighted = fit_pilot(rows.design, rows.response, rows.even, priors, np.inf)
    assert np.abs(unweighted.fitted - fitted).max() > 30 * NUMERIC * sd


def test_leverage_is_how_far_a_fitted_value_follows_its_row() -> None:
    rows = make_rows(3, rows=30)
    before = fit_pilot(rows.design, rows.response, rows.even, rows.flat, np.inf)
    for row in (0, 7, 29):
        moved = rows.response + 1e-3 * (np.arange(30) == row)
        after = fit_pilot(rows.design, moved, rows.even, rows.flat, np.inf)
        follows = (after.fitted[row] - before.fitted[row]) / 1e-3
        assert before.leverage[row] == pytest.approx(follows, rel=1e-6)
    assert before.leverage.sum() == pytest.approx(3, rel=1e-9)  # one a feature


@pytest.mark.parametrize("dof", [3.0, 4.0, 10.0])
def test_location_and_scale_are_the_maximum_likelihood_ones(dof: float) -> None:
    count, scale = 1500, 0.05
    response = 0.3 + scale * np.random.default_rng(4).standard_t(dof, count)
    design, weights = np.ones((count, 1)), np.ones(count)
    pilot = fit_pilot(design, response, weights, np.array([1e6]), dof)
    _, location, best = stats.t.fit(response, fdf=dof, loc=0.3, scale=scale)
    assert pilot.fitted[0] == pytest.approx(location, abs=3 * NUMERIC * scale)
    # One degree of freedom goes to the location.
    assert pilot.sd == pytest.approx(best, rel=3 * NUMERIC + 1 / count)

    # Fisher information of a Student-t: Lange, Little and Taylor 1989, appendix B.
    location_error = scale * np.sqrt((dof + 3) / (dof + 1) / count)
    scale_error = np.sqrt((dof + 3) / (2 * dof * count))
    assert abs(pilot.fitted[0] - 0.3) < MAX_ERRORS * location_error
    assert abs(np.log(pilot.sd / scale)) < MAX_ERRORS * scale_error
    # The broken twin: under normal noise, the same rows have another scale.
    normal = fit_pilot(design, response, weights, np.array([1e6]), np.inf)
    assert abs(np.log(normal.sd / scale)) > MAX_ERRORS * scale_error


@pytest.mark.parametrize("dof", [3.0, 20.0, np.inf])
def test_the_log_likelihood_is_that_of_its_residuals(dof: float) -> None:
    rows = make_rows(5, rows=60)
    weights = np.random.default_rng(6).uniform(0.2, 1.0, 60)
    pilot = fit_pilot(rows.design, rows.response, weights, np.full(3, 0.3), dof)
    noise = stats.norm(scale=pilot.sd) if np.isinf(dof) else stats.t(dof, scale=pilot.sd)
    assert pilot.log_likelihood == pytest.approx(weights @ noise.logpdf(pilot.residual), rel=1e-9)


@pytest.mark.parametrize("dof", [4.0, np.inf])
def test_a_row_that_counts_for_two_is_two_rows(dof: float) -> None:
    rows = make_rows(7, rows=25, dof=4.0)
    priors = np.full(3, 0.3)
    one = fit_pilot(rows.design, rows.response, 2 * rows.even, priors, dof)
    twice = np.repeat(np.arange(25), 2)
    two = fit_pilot(rows.design[twice], rows.response[twice], np.ones(50), priors, dof)
    np.testing.assert_allclose(two.fitted, one.fitted[twice], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(two.leverage, one.leverage[twice] / 2, rtol=1e-9)
    assert two.sd == pytest.approx(one.sd, rel=1e-9)
    assert two.log_likelihood == pytest.approx(one.log_likelihood, rel=1e-9)


def test_outliers_lose_their_pull() -> None:
    rows = make_rows(8, rows=100)
    spoiled = rows.response.copy()
    spoiled[:3] += 5.0  # a hundred noise sds
    error = rows.design @ slope_errors(rows, 4.0)
    moves = {}
    for dof in (4.0, np.inf):
        clean = fit_pilot(rows.design, rows.response, rows.even, rows.flat, dof)
        hit = fit_pilot(rows.design, spoiled, rows.even, rows.flat, dof)
        moves[dof] = np.abs(hit.fitted - clean.fitted).max() / np.abs(error).max()
    assert moves[4.0] < 1.0
    assert moves[np.inf] > 5.0  # the broken twin


def test_pseudo_values_have_the_fit_as_their_least_squares() -> None:
    rows = make_rows(9, rows=4000, dof=4.0)
    pilot = fit_pilot(rows.design, rows.response, rows.even, rows.flat, 4.0)
    pseudo = pilot.pseudo_values(4.0)
    fitted = rows.design @ least_squares(rows.design, pseudo)
    np.testing.assert_allclose(fitted, pilot.fitted, atol=NUMERIC * rows.sd)
    # Their variance is that of the estimate, times the rows: Huber 1981, section 7.10.
    square = (pseudo - fitted) ** 2
    expected = rows.sd**2 * (4 + 3) / (4 + 1)
    error = square.std() / np.sqrt(len(square))
    # The scale is estimated too: its error adds to that of the mean square.
    error = np.hypot(error, 2 * expected * np.sqrt(7 / 8 / len(square)))
    assert abs(square.mean() - expected) < MAX_ERRORS * error
    assert abs(square.mean() - rows.sd**2) > MAX_ERRORS * error  # the broken twin: no inflation


def test_pseudo_values_under_normal_noise_are_the_responses() -> None:
    rows = make_rows(10, rows=20)
    pilot = fit_pilot(rows.design, rows.response, rows.even, rows.flat, np.inf)
    np.testing.assert_allclose(pilot.pseudo_values(np.inf), rows.response, rtol=1e-12)
    nearly = fit_pilot(rows.design, rows.response, rows.even, rows.flat, 1e9)
    np.testing.assert_allclose(nearly.pseudo_values(1e9), rows.response, atol=1e-6 * rows.sd)


def test_a_group_without_rows_says_nothing() -> None:
    nothing = np.empty(0)
    pilot = fit_pilot(np.empty((0, 3)), nothing, nothing, np.full(3, 0.3), 4.0)
    assert pilot.fitted.shape == pilot.residual.shape == pilot.leverage.shape == (0,)
    assert pilot.log_likelihood == 0.0
    assert pilot.pseudo_values(4.0).shape == (0,)


@pytest.mark.parametrize("dof", [4.0, np.inf])
def test_rows_that_are_all_the_same_stay_finite(dof: float) -> None:
    design = np.tile([0.2, 0.3, 0.5], (30, 1))
    pilot = fit_pilot(design, np.full(30, 0.1), np.ones(30), np.full(3, 0.3), dof)
    np.testing.assert_allclose(pilot.fitted, 0.1, atol=1e-6)
    assert np.isfinite(pilot.log_likelihood)
    assert 0 < pilot.sd <= 1e-5
    assert np.all(np.isfinite(pilot.pseudo_values(dof)))


def test_fewer_rows_than_features_leave_a_positive_sd() -> None:
    rows = make_rows(11, rows=2, features=4)
    pilot = fit_pilot(rows.design, rows.response, rows.even, np.full(4, 0.3), 4.0)
    assert np.isfinite(pilot.log_likelihood)
    assert pilot.sd > 0
    assert np.all((pilot.leverage >= 0) & (pilot.leverage <= 1 + 1e-9))
