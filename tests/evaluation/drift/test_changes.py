"""What moved, by how much and since when: against closed forms, and recovered."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from bayeslat.evaluation.drift.calmed import Calmed, calm_window, find_start
from bayeslat.evaluation.drift.changes import Change, _log_evidence, draw_changes
from bayeslat.evaluation.drift.course import Course
from bayeslat.evaluation.drift.explain import detectable_changes, feature_changes, tell_start
from bayeslat.evaluation.drift.p_values import DriftTest
from bayeslat.evaluation.drift.stage_drift import CORRECTION, TOGETHER, FeatureChange, Since
from tests.evaluation.drift.windows import NOISE_SD, make_scores, make_window

ROWS = 120


def explain(
    error: np.ndarray, dof: float = np.inf
) -> tuple[dict[str, FeatureChange], Since | None, Calmed]:
    window = make_window(error, posterior_sd=0.005, dof=dof)
    scores = make_scores(window, Course.even(ROWS, 200))
    calmed = calm_window(scores, find_start(scores))
    draws = draw_changes(scores, calmed.error, calmed.noise_ratio, np.random.default_rng(0))
    changes = {each.feature: each for each in feature_changes(scores, {}, draws)}
    return changes, tell_start(draws, window, None), calmed


def errors(seed: int = 0) -> np.ndarray:
    return np.random.default_rng([3, seed]).standard_normal(ROWS)


def columns() -> np.ndarray:
    return make_window(np.zeros(ROWS)).design / NOISE_SD


def test_evidence_is_the_ratio_of_marginal_likelihoods() -> None:
    error = errors()
    scores = make_scores(make_window(error, config=np.tile(np.arange(40), 3)))
    sd = np.array([2.0, 0.7])
    model = Change(("work", CORRECTION), np.array([0, 2]), sd, 0.0)
    found = scores.of_changes(error[:, None])[:, :, 0]
    evidence = _log_evidence(found, scores.information, model)
    design = scores.window.design
    total = np.linalg.inv(scores.errors.weigh(np.eye(ROWS)))
    total += design @ scores.covariance @ design.T
    still = multivariate_normal.logpdf(error, cov=total)
    for number, start in enumerate(scores.course.starts):
        late = design[:, model.columns] * (np.arange(ROWS) >= start)[:, None]
        moved = multivariate_normal.logpdf(error, cov=total + (late * sd**2) @ late.T)
        assert evidence[number] == pytest.approx(moved - still, abs=1e-6)


def test_a_change_is_found_with_its_size_and_start() -> None:
    late = np.arange(ROWS) >= 70
    shifted = errors() + np.log1p(0.10) * late * columns()[:, 0]
    changes, since, _ = explain(shifted)
    work = changes["work"]
    assert next(iter(changes)) == "work"
    assert work.p_moved > 0.9
    assert work.low < 0.10 < work.high
    assert work.high - work.low < 0.08
    assert since is not None
    assert since.low <= 71 <= since.high
    assert since.high - since.low < 15
    assert since.p_before < 0.01
    assert changes["launch"].p_moved < 0.3


def test_intervals_cover_the_change() -> None:
    """Of 60 windows, 90 % intervals: 46 or fewer in one of a thousand if they are right."""
    inside = 0
    for seed in range(60):
        changes, _, _ = explain(errors(seed) + np.log1p(0.10) * columns()[:, 0])
        inside += changes["work"].low <= 0.10 <= changes["work"].high
    assert inside > 46


def test_a_change_before_the_window_is_told() -> None:
    changes, since, _ = explain(errors() + np.log1p(0.10) * columns()[:, 1])
    assert changes["launch"].p_moved > 0.9
    assert since is not None
    assert since.row == 1
    assert since.p_before > 0.5


def test_a_change_of_all_terms_alike_is_one_change() -> None:
    changes, _, _ = explain(errors() + np.log1p(0.08) * columns()[:, :2].sum(axis=1))
    assert changes[TOGETHER].p_moved > 0.8
    assert changes[TOGETHER].low < 0.08 < changes[TOGETHER].high


def test_a_change_that_no_term_makes_is_the_corrections() -> None:
    changes, _, _ = explain(errors() + 0.05 * columns()[:, 2])
    assert changes[CORRECTION].p_moved > 0.9
    assert changes["work"].p_moved < 0.3
    # Root mean square of 0.05 times a uniform from -1 to 1.
    assert changes[CORRECTION].change == pytest.approx(0.05 / np.sqrt(3), rel=0.3)


def test_a_large_change_is_no_outlier() -> None:
    """Latency doubles from row 60 on: twenty times the noise, of heavy tails."""
    late = np.arange(ROWS) >= 60
    shifted = errors() + np.log(2.0) * late * columns()[:, :2].sum(axis=1)
    changes, since, calmed = explain(shifted, dof=4.0)
    assert changes[TOGETHER].low < 1.0 < changes[TOGETHER].high
    assert since is not None
    assert since.row == 61
    assert calmed.noise_ratio < 1.5


def test_noise_alone_moves_no_coefficient() -> None:
    changes, since, calmed = explain(2.0 * errors())
    assert calmed.noise_low < 2.0 < calmed.noise_high
    assert calmed.noise_low > 1.5
    assert since is None
    assert max(each.p_moved for each in changes.values()) < 0.3


def test_features_that_cannot_be_told_apart_are_named() -> None:
    """Two terms whose shares hardly move: a change of either is one of all."""
    rng = np.random.default_rng(0)
    window = make_window(errors(), posterior_sd=0.005, residual=0)
    share = 0.5 + 0.01 * rng.standard_normal(ROWS)
    design = np.column_stack([share, 1.0 - share])
    shifted = errors() + np.log1p(0.12) * design[:, 0] / NOISE_SD
    scores = make_scores(replace(window, design=design, error=shifted))
    draws = draw_changes(scores, shifted, 1.0, rng)
    changes = {each.feature: each for each in feature_changes(scores, {}, draws)}
    assert "launch" in changes["work"].confused_with
    assert "work" in changes["launch"].confused_with


@pytest.mark.parametrize("dof", [4.0, np.inf])
def test_the_interval_of_the_noise_is_that_of_a_scale(dof: float) -> None:
    """Of n - 3 rows' log scale, with information 2 dof / (dof + 3) each, and the posterior's."""
    window = make_window(errors(), dof=dof)
    calmed = calm_window(make_scores(window), 0)
    part = 1.0 if np.isinf(dof) else dof / (dof + 3.0)
    sd = np.sqrt(1.0 / (2.0 * part * (ROWS - 3)) + np.log(window.noise).var())
    assert np.log(calmed.noise_high / calmed.noise_ratio) == pytest.approx(1.645 * sd, rel=0.01)
    assert np.log(calmed.noise_ratio / calmed.noise_low) == pytest.approx(1.645 * sd, rel=0.01)


def test_a_change_is_detectable_where_its_score_is_beyond_the_critical_value() -> None:
    """With 90 % probability: a normal of mean change' V^-1 change, by the dense covariance."""
    window = make_window(errors())
    scores = make_scores(window)
    total = np.linalg.inv(scores.errors.weigh(np.eye(ROWS)))
    total += window.design @ scores.covariance @ window.design.T
    found = detectable_changes(scores, DriftTest(0.5, {}, 1, 9.0))
    both = window.design[:, :2].sum(axis=1)
    for name, column in (*zip(window.terms, window.design.T, strict=False), (TOGETHER, both)):
        size = np.sqrt(column @ np.linalg.solve(total, column))
        log_change = (3.0 + 1.2816) / size * NOISE_SD
        assert found[name] == pytest.approx(np.expm1(log_change), rel=1e-4)
