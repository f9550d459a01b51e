"""Outliers: the choice of tails, and pseudo-values against the equations of the M-estimate."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import numpy as np
import pytest
from scipy.optimize import root

from bayeslat.inference.calibration.target_regression import TargetRegression
from bayeslat.inference.rows.pilot import fit_pilot, pseudo_values
from bayeslat.inference.rows.robust import choose_dof
from tests.posteriors import make_data
from tests.regressions import Array, Rows, least_squares, make_rows, slope_errors

DOF = 4.0


def calm_outliers(rows: tuple[Array, Array, Array], prior_sd: Array, dof: float) -> Array:
    return fit_pilot(*rows, prior_sd, dof).pseudo_values(dof)


def solve_psi_equations(rows: Rows, weights: Array, dof: float) -> tuple[Array, float]:
    """Solve sum w psi(r / s) z = 0 and sum w psi(r / s) r / s = rows - features by scipy."""
    features = rows.design.shape[1]

    def equations(point: Array) -> Array:
        sd = np.exp(point[-1])
        standard = (rows.response - rows.design @ point[:-1]) / sd
        psi = (dof + 1) * standard / (dof + standard**2)
        scale = weights @ (psi * standard) - (weights.sum() - features)
        return np.array([*(rows.design.T @ (weights * psi)), scale])

    start = np.array([*least_squares(rows.design, rows.response, weights), np.log(rows.sd)])
    found = root(equations, start, tol=1e-12)
    assert found.success
    return found.x[:-1], float(np.exp(found.x[-1]))


@pytest.mark.parametrize("dof", [3.0, 4.0, 20.0])
def test_least_squares_on_pseudo_values_give_the_m_estimate(dof: float) -> None:
    rows = make_rows(1, rows=200, dof=3.0)
    weights = np.random.default_rng(2).uniform(0.2, 1.0, 200)
    calmed = calm_outliers((rows.design, rows.response, weights), rows.flat, dof)
    expected, _ = solve_psi_equations(rows, weights, dof)
    numeric = 0.03 * slope_errors(rows)
    assert np.all(np.abs(least_squares(rows.design, calmed, weights) - expected) < numeric)
    # The broken twin: the responses as they are have another solution.
    plain = least_squares(rows.design, rows.response, weights)
    assert np.abs((plain - expected) / numeric).max() > 10


def test_pseudo_values_are_huber_s() -> None:
    rows = make_rows(3, rows=200, dof=3.0)
    calmed = calm_outliers((rows.design, rows.response, rows.even), rows.flat, DOF)
    effect, sd = solve_psi_equations(rows, rows.even, DOF)
    standard = (rows.response - rows.design @ effect) / sd
    psi = (DOF + 1) * standard / (DOF + standard**2)
    expected = rows.design @ effect + sd * psi * (DOF + 3) / (DOF + 1)
    np.testing.assert_allclose(calmed, expected, atol=0.02 * rows.sd)


@pytest.mark.parametrize("dof", [3.0, 4.0, np.inf])
def test_the_noise_of_a_target_is_inflated_as_pseudo_values_scatter(dof: float) -> None:
    rng, rows = np.random.default_rng(11), 40_000
    errors = rng.standard_normal(rows) if np.isinf(dof) else rng.standard_t(dof, rows)
    calmed = pseudo_values(np.zeros(rows), errors, 1.0, dof)
    part, unused = replace(make_data().stages["prefill"], noise_dof=dof), cast("Any", None)
    inflation = TargetRegression(part, unused, unused, unused).inflation
    # Pseudo-values are bounded, so their tails are no heavier than the normal's.
    assert calmed.std() == pytest.approx(inflation, rel=4 / np.sqrt(2 * rows))


def spoil(rows: Rows, share: float, factor: float) -> Array:
    """Multiply the latencies behind a share of the responses by a factor."""
    bad = np.arange(len(rows.response)) % round(1 / share) == 0
    return rows.response + np.where(bad, np.log(factor), 0.0)


@pytest.mark.parametrize("seed", [4, 5, 6])
def test_gross_outliers_move_the_slopes_by_less_than_their_error(seed: int) -> None:
    rows = make_rows(seed, rows=400)
    spoiled = spoil(rows, share=0.05, factor=10.0)
    dof = choose_dof([(rows.design, spoiled, rows.even)], rows.flat)
    assert dof <= 4.0

    def slopes(response: Array) -> Array:
        calmed = calm_outliers((rows.design, response, rows.even), rows.flat, dof)
        return least_squares(rows.design, calmed)

    error = slope_errors(rows, dof)
    assert np.all(np.abs(slopes(spoiled) - slopes(rows.response)) < error)
    # The broken twin: plain least squares.
    plain = least_squares(rows.design, spoiled) - least_squares(rows.design, rows.response)
    assert np.abs(plain / error).max() > 10


def test_normal_rows_are_left_as_they_are() -> None:
    rows = make_rows(7)
    calmed = calm_outliers((rows.design, rows.response, rows.even), rows.flat, np.inf)
    np.testing.assert_allclose(calmed, rows.response, rtol=1e-12)


def test_a_group_without_rows_has_no_pseudo_values() -> None:
    nothing = (np.empty((0, 2)), np.empty(0), np.empty(0))
    assert calm_outliers(nothing, np.ones(2), DOF).shape == (0,)


@pytest.mark.parametrize(("dof", "low", "high"), [(3.0, 3.0, 4.0), (np.inf, 20.0, np.inf)])
def test_the_tails_are_those_of_the_rows(dof: float, low: float, high: float) -> None:
    parts = [make_rows(seed, rows=700, sd=sd, dof=dof) for seed, sd in ((8, 0.02), (9, 0.2))]
    chosen = choose_dof([(each.design, each.response, each.even) for each in parts], parts[0].flat)
    assert low <= chosen <= high


def test_repeats_do_not_pass_for_more_rows() -> None:
    """Each row ten times, each counting for a tenth, has the likelihood of the rows alone."""
    rows = make_rows(10, rows=60, dof=5.0)
    alone = choose_dof([(rows.design, rows.response, rows.even)], rows.flat)
    tenfold = np.repeat(np.arange(60), 10)
    copies = (rows.design[tenfold], rows.response[tenfold], np.full(600, 0.1))
    assert choose_dof([copies], rows.flat) == alone


def test_without_rows_the_tails_are_the_priors() -> None:
    """Gamma(2, rate 0.1) is the likeliest at 1 / 0.1."""
    assert choose_dof([(np.empty((0, 2)), np.empty(0), np.empty(0))], np.ones(2)) == 10.0
