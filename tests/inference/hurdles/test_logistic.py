"""Modes and evidence of logistic regressions."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import minimize
from scipy.special import expit

from bayeslat.inference.hurdles.logistic import logistic_modes


def rows(count: int = 80, size: int = 3, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    design = np.column_stack([np.ones(count), rng.uniform(-1, 1, (count, size - 1))])
    return design, (rng.random(count) < expit(design @ np.linspace(-1, 2, size))).astype(float)


def test_the_mode_is_that_of_a_general_optimiser() -> None:
    design, outcome = rows()
    mean, precision = np.array([0.5, 0.0, -0.5]), np.diag([0.5, 1.0, 4.0])

    def minus_log(at: np.ndarray) -> float:
        logit, off = design @ at, at - mean
        fit = outcome @ logit - np.logaddexp(0, logit).sum()
        return float(0.5 * off @ precision @ off - fit)

    expected = minimize(minus_log, np.zeros(3), method="BFGS", options={"gtol": 1e-9}).x
    found = logistic_modes(design, outcome, mean[None], precision[None])
    np.testing.assert_allclose(found.mode[0], expected, atol=1e-5)


def test_the_evidence_is_the_integral_within_laplaces_error() -> None:
    design, outcome = rows(count=60, size=1)

    def density(at: float) -> float:
        logit = design[:, 0] * at
        fit = outcome @ logit - np.logaddexp(0, logit).sum()
        return float(np.exp(fit - 0.5 * at**2 / 4.0 + 40.0) / np.sqrt(2 * np.pi * 4.0))

    expected = np.log(quad(density, -6, 6)[0]) - 40.0
    found = logistic_modes(design, outcome, np.zeros((1, 1)), np.full((1, 1, 1), 0.25))
    assert found.log_evidence[0] == pytest.approx(expected, abs=0.02)


def test_outcomes_that_can_be_told_apart_without_error_have_a_mode() -> None:
    design = np.column_stack([np.ones(40), np.linspace(-1, 1, 40)])
    outcome = (design[:, 1] > 0).astype(float)
    found = logistic_modes(design, outcome, np.zeros((1, 2)), np.eye(2)[None] / 2.5**2)
    assert np.isfinite(found.mode).all()
    assert 3.0 < found.mode[0, 1] < 20.0


def test_far_from_the_mode_newtons_steps_still_arrive() -> None:
    design, outcome = rows()
    far = np.array([[30.0, -40.0, 50.0]])
    wide = np.eye(3)[None] * 1e-4
    near = logistic_modes(design, outcome, np.zeros((1, 3)), wide)
    found = logistic_modes(design, outcome, far, wide)
    np.testing.assert_allclose(found.mode, near.mode, atol=0.05)


def test_draws_have_the_mode_and_the_curvature() -> None:
    design, outcome = rows()
    found = logistic_modes(design, outcome, np.zeros((1, 3)), np.eye(3)[None])
    count = 20_000
    normals = np.random.default_rng(1).standard_normal((count, 3))
    drawn = found.draw(np.zeros(count, dtype=np.int64), normals)
    covariance = np.linalg.inv(found.precision[0])
    error = np.sqrt(np.diag(covariance) / count)
    assert (np.abs(drawn.mean(axis=0) - found.mode[0]) < 4 * error).all()
    np.testing.assert_allclose(np.cov(drawn.T), covariance, atol=5 * covariance.max() / count**0.5)
