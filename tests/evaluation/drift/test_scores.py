"""Scores against the dense formulas of a generalised least squares regression."""

from __future__ import annotations

import numpy as np
import pytest

from bayeslat.evaluation.drift.course import Course
from bayeslat.evaluation.drift.scores import TESTS, clip_errors
from tests.evaluation.drift.windows import make_scores, make_window


@pytest.fixture(params=[False, True], ids=["once", "repeated"])
def config(request: pytest.FixtureRequest) -> np.ndarray:
    return np.tile(np.arange(20), 3) if request.param else np.arange(60)


def test_scores_and_information_are_those_of_the_dense_covariance(config: np.ndarray) -> None:
    error = np.random.default_rng(0).standard_normal(60)
    scores = make_scores(make_window(error, config=config))
    rows = scores.errors.weigh(np.eye(60))  # V^-1
    design = scores.window.design
    total = np.linalg.inv(rows) + design @ scores.covariance @ design.T
    found = scores.of_changes(error[:, None])[:, :, 0]
    for number, start in enumerate(scores.course.starts):
        late = scores.columns * (np.arange(60) >= start)[:, None]
        np.testing.assert_allclose(found[number], late.T @ np.linalg.solve(total, error), rtol=1e-7)
        expected = late.T @ np.linalg.solve(total, late)
        np.testing.assert_allclose(scores.information[number], expected, rtol=1e-7, atol=1e-9)


def test_movement_is_the_distance_of_the_effects() -> None:
    """Of normal errors within three times the noise, where nothing is clipped."""
    error = np.clip(np.random.default_rng(1).standard_normal(80), -2.5, 2.5)
    scores = make_scores(make_window(error))
    design = scores.window.design
    total = np.eye(80) + design @ scores.covariance @ design.T
    late = design.T @ np.linalg.solve(total, error)
    expected = late @ np.linalg.solve(design.T @ np.linalg.solve(total, design), late)
    assert scores.statistics(error[:, None])[0, 0] == pytest.approx(expected, rel=1e-7)


def test_each_kind_of_drift_has_its_statistic() -> None:
    rng = np.random.default_rng(2)
    stable = rng.standard_normal(100)
    window = make_window(stable, posterior_sd=0.002)
    late = np.arange(100) >= 60
    scores = make_scores(window)
    before = scores.statistics(stable[:, None])[:, 0]
    cases = {
        "direction": stable + 2.0 * window.design[:, 0],
        "since": stable + 3.0 * late * window.design[:, 1],
        "noise": 2.0 * stable,
    }
    for test, error in cases.items():
        gain = scores.statistics(error[:, None])[:, 0] / before
        assert gain[TESTS.index(test)] > 2.0, test


def test_courses_start_with_the_window() -> None:
    assert Course.blocks(200).starts[0] == 0
    assert len(Course.blocks(200).starts) == 32
    assert Course.blocks(7).starts.tolist() == [0]
    assert Course.even(4, 200).starts.tolist() == [0, 1, 2, 3]
    sums = Course(np.array([0, 2])).sums(np.array([[1.0], [2.0], [3.0]]))
    assert sums[:, 0].tolist() == [6.0, 3.0]


@pytest.mark.parametrize("dof", [3.0, 20.0, np.inf])
def test_large_errors_keep_their_pull(dof: float) -> None:
    """A score that falls off again would not see a drift of ten times the noise."""
    found = clip_errors(np.array([-50.0, 1.0, 3.0, 50.0]), dof)
    assert np.all(np.diff(found) >= 0.0)
    assert found[3] == found[2] == -found[0]
    assert found[1] == pytest.approx(1.0)


def test_noise_is_judged_whatever_the_effects_did() -> None:
    """Of errors that are not clipped, effects that moved leave what they do not reach."""
    error = 0.3 * np.random.default_rng(3).standard_normal(100)
    scores = make_scores(make_window(error))
    moved = error + scores.window.design @ np.array([0.5, -0.8, 0.4])
    noise = TESTS.index("noise")
    before, after = scores.statistics(np.column_stack([error, moved]))[noise]
    assert after == pytest.approx(before, rel=0.01)  # the prior of the free effects is as weak
    design = scores.window.design
    left = error - design @ np.linalg.lstsq(design, error, rcond=None)[0]
    assert before == pytest.approx(np.mean(left**2), rel=0.01)
