from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import Ridge, RidgeCV

from bayeslat.evaluation.baselines.monomials import BEND, monomials
from bayeslat.evaluation.baselines.ridge_fit import fit_ridge

RNG = np.random.default_rng(3)
X = RNG.standard_normal((20, 4)) + 2.0
Y = X @ [1.0, -2.0, 0.0, 0.5] + 3.0 + 0.3 * RNG.standard_normal(20)
ALPHAS = (0.01, 0.1, 1.0, 10.0, 100.0)


def test_it_solves_the_normal_equations() -> None:
    fit = fit_ridge(X, Y, [2.5])
    centred = X - X.mean(axis=0)
    by_hand = np.linalg.solve(centred.T @ centred + 2.5 * np.eye(4), centred.T @ (Y - Y.mean()))
    np.testing.assert_allclose(fit.coefficients, by_hand)
    np.testing.assert_allclose(fit(X), Y - fit.residuals)
    assert fit.intercept == pytest.approx(Y.mean() - X.mean(axis=0) @ by_hand)


@pytest.mark.parametrize("noise", [0.0, 0.5, 20.0])
def test_the_penalty_is_that_of_scikit_learn(noise: float) -> None:
    target = Y + noise * np.random.default_rng(1).standard_normal(20)
    fit, oracle = fit_ridge(X, target, ALPHAS), RidgeCV(alphas=ALPHAS).fit(X, target)
    assert fit.alpha == oracle.alpha_
    np.testing.assert_allclose(fit.coefficients, oracle.coef_)


def test_the_leverage_gives_what_leaving_a_row_out_gives() -> None:
    fit = fit_ridge(X, Y, [2.5])
    for row in range(20):
        kept = np.arange(20) != row
        error = Y[row] - Ridge(alpha=2.5).fit(X[kept], Y[kept]).predict(X[[row]])[0]
        # Exact but for the centre, which the row moves a little.
        assert fit.residuals[row] / (1 - fit.leverage[row]) == pytest.approx(error, rel=1e-6)


def test_weights_count_rows() -> None:
    counts = RNG.integers(1, 4, 20)
    mean = float(counts.mean())
    fit = fit_ridge(X, Y, [2.5], counts.astype(float))
    repeated = Ridge(alpha=2.5 * mean).fit(np.repeat(X, counts, axis=0), np.repeat(Y, counts))
    np.testing.assert_allclose(fit.coefficients, repeated.coef_)
    assert fit.intercept == pytest.approx(repeated.intercept_)
    scaled = fit_ridge(X, Y, [2.5], 7.0 * counts.astype(float))
    np.testing.assert_allclose(scaled(X), fit(X))


def test_more_columns_than_rows_are_shrunk() -> None:
    fit = fit_ridge(X[:3], Y[:3], ALPHAS)
    assert np.isfinite(fit(X)).all()


def test_columns_that_are_constant_change_nothing() -> None:
    rng = np.random.default_rng(5)
    columns, target = rng.standard_normal((30, 4)), rng.standard_normal(30)
    constant = np.insert(columns, [1, 3], 2.5, axis=1)
    found, expected = (fit_ridge(each, target, [0.1, 1.0]) for each in (constant, columns))
    np.testing.assert_allclose(found.coefficients[[0, 2, 3, 5]], expected.coefficients)
    np.testing.assert_array_equal(found.coefficients[[1, 4]], 0.0)
    np.testing.assert_allclose(found.residuals, expected.residuals)
    alone = fit_ridge(np.ones((30, 1)), target, [1.0])
    np.testing.assert_allclose(alone.residuals, target - target.mean())


def test_one_row_is_its_mean() -> None:
    assert fit_ridge(X[:1], Y[:1], ALPHAS)(X[5:6])[0] == pytest.approx(Y[0])


def test_monomials_by_hand() -> None:
    found = monomials(np.array([[2.0, 3.0]]), 2)
    np.testing.assert_allclose(found, [[2, 3, 4 * BEND, 6 * BEND, 9 * BEND]])
    assert monomials(np.ones((4, 6)), 3).shape == (4, 6 + 21 + 56)
    assert monomials(np.empty((4, 0)), 2).shape == (4, 0)
