"""What neighbours share: estimated, drawn, and no drift; a test without it takes it for one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binomtest

from bayeslat.evaluation.drift.course import Course
from bayeslat.evaluation.drift.misfit import Misfit, estimate_misfit
from bayeslat.evaluation.drift.p_values import compare_window, simulate_errors
from bayeslat.evaluation.drift.row_errors import RowErrors, row_errors
from bayeslat.evaluation.drift.scores import Scores
from bayeslat.evaluation.drift.window import Window, take_window
from bayeslat.inference.rows.nearness import nearness
from tests.drifts import make_scene
from tests.evaluation.drift.windows import make_scores, make_window
from tests.posteriors import GPUS

ROWS = 120
LEVEL = 0.05
WINDOWS = 60


def places(rows: int = ROWS) -> np.ndarray:
    """Two coordinates, as the range is filled by random configurations."""
    return np.random.default_rng(11).uniform(-1.0, 1.0, (rows, 2))


def window(error: np.ndarray, *, noise_shared: float = 0.5, residual: int = 1) -> Window:
    at = places(len(error))
    made = make_window(
        error, places=at, noise_shared=noise_shared, residual=residual, posterior_sd=0.002
    )
    # Features are smooth in the coordinates, as those of a stage are.
    share = 0.5 + 0.4 * np.sin(2.0 * at[:, 0])
    return replace(made, design=np.column_stack([share, 1.0 - share, at[:, 1:]]))


def misfit(shared: float, left: float, reach: float = 0.25) -> Misfit:
    """One whose share and reach are known."""
    one = np.ones(1)
    own = np.empty((0, 2)), np.empty((ROWS, 0))
    return Misfit(places(), *own, shared * one, left * one, reach * one, one)


def draw(shared: float, left: float, count: int) -> np.ndarray:
    errors = RowErrors(np.arange(ROWS), np.inf, 1.0, 0, misfit(shared, left))
    return errors.draw(count, np.random.default_rng(12))


def estimate(error: np.ndarray, noise_shared: float = 0.5) -> float:
    """Expected share of the variance."""
    found = estimate_misfit(window(error, noise_shared=noise_shared), 1.0)
    if found is None:
        return 0.0
    return float(found.chance @ (found.shared / (found.shared + found.left)))


@pytest.mark.parametrize("config", [np.arange(ROWS), np.tile(np.arange(ROWS // 2), 2)])
def test_errors_are_drawn_with_their_covariance(config: np.ndarray) -> None:
    count = 20_000
    repeated = len(set(config)) < ROWS
    errors = RowErrors(config, np.inf, 0.3, 10**6 * repeated, misfit(0.8, 0.5))
    drawn = errors.draw(count, np.random.default_rng(1))
    assert errors.covariance is not None
    # The sd of a covariance of normals of variance 1.3 is at most 1.3 sqrt(2 / count).
    np.testing.assert_allclose(np.cov(drawn), errors.covariance, atol=1.3 * 5 * np.sqrt(2 / count))
    np.testing.assert_allclose(np.diagonal(errors.covariance), 1.3, atol=1e-6)
    if repeated:
        same = errors.covariance[0, ROWS // 2]  # all but the 0.3 that are the run's own
        assert same == pytest.approx(0.2 + 0.8 * nearness(places(), 0.25)[0, ROWS // 2])


def test_the_share_is_learnt() -> None:
    """Of ten windows each, the mean of what is expected."""
    near = np.mean([estimate(error) for error in draw(0.9, 0.1, 10).T])
    half = np.mean([estimate(error) for error in draw(0.5, 0.5, 10).T])
    none = np.mean([estimate(error) for error in draw(0.0, 1.0, 10).T])
    assert near > 0.75
    assert 0.3 < half < 0.7
    assert none < 0.2


def test_neither_a_moved_coefficient_nor_more_noise_is_misfit() -> None:
    error = draw(0.5, 0.5, 1)[:, 0]
    design = window(error).design
    moved = error + design @ np.array([3.0, -2.0, 5.0])
    assert estimate(moved) == pytest.approx(estimate(error), rel=1e-6)
    assert estimate(7.0 * error) == pytest.approx(estimate(error), rel=1e-6)


def test_what_repeats_told_the_fit_is_the_prior() -> None:
    error = draw(0.0, 1.0, 1)[:, 0]
    assert estimate(error, noise_shared=0.01) < 0.01
    assert estimate(error, noise_shared=0.5) > estimate(error, noise_shared=0.01)


def test_what_repeats_do_not_share_neighbours_do_not_either() -> None:
    error = draw(0.9, 0.1, 1)[:, 0]
    found = estimate_misfit(window(error), 0.3)
    free = estimate_misfit(window(error), 1.0)
    assert found is not None
    assert free is not None
    assert found.left.min() >= 0.7 > free.left.max()  # the noise of runs, of what a fit leaves
    assert estimate_misfit(window(error), 0.0) is None


def test_without_coordinates_nothing_is_close() -> None:
    error = draw(0.9, 0.1, 1)[:, 0]
    assert row_errors(make_window(error)).misfit is None


def test_effects_leave_the_noise_of_misfit() -> None:
    """What smooth effects take up of it was no noise to the fit either."""
    stage = window(draw(0.9, 0.1, 1)[:, 0])
    errors = row_errors(stage)
    drawn = errors.draw(4000, np.random.default_rng(2))
    basis = np.linalg.qr(stage.design)[0]
    left = np.sum((drawn - basis @ (basis.T @ drawn)) ** 2, axis=0) / (ROWS - basis.shape[1])
    # Misfit is like some twenty independent errors: sd of the mean sqrt(2 / 20 / 4000).
    assert left.mean() == pytest.approx(1.0, abs=5 * np.sqrt(2 / 20 / 4000))
    assert np.mean(drawn**2) > 1.05


def test_scatter_is_that_of_the_scores() -> None:
    """Against scores of windows that are drawn."""
    stage = window(draw(0.9, 0.1, 1)[:, 0])
    scores = make_scores(stage, Course(np.array([0, 60])))
    drawn = simulate_errors(stage, scores.errors, 20_000, np.random.default_rng(3))
    found = scores.of_changes(drawn)
    for number in range(2):
        sd = np.sqrt(np.diagonal(scores.scatter[number]))
        covariance = np.cov(found[number]) / np.outer(sd, sd)
        expected = scores.scatter[number] / np.outer(sd, sd)
        np.testing.assert_allclose(covariance, expected, atol=8 * np.sqrt(2 / 20_000))
    information = np.diagonal(scores.information[0])
    assert (np.diagonal(scores.scatter[0]) > 1.5 * information).all()


def test_what_own_rows_took_up_is_no_error_of_the_window() -> None:
    """Misfit of the rows less what that of the own rows moves them by."""
    rng, count = np.random.default_rng(5), 20_000
    own, one = rng.uniform(-1.0, 1.0, (30, 2)), np.ones(1)
    taken_up = rng.uniform(0.0, 2.0 / 30, (ROWS, 30))
    made = Misfit(places(), own, taken_up, one, 0.5 * one, 0.5 * one, one)
    joint = nearness(np.concatenate([places(), own]), 0.5)
    less = np.column_stack([np.eye(ROWS), -taken_up])
    np.testing.assert_allclose(made.covariance, less @ joint @ less.T, atol=1e-10)
    drawn, left = made.draw(count, rng)
    assert (left == 0.5).all()
    np.testing.assert_allclose(np.cov(drawn), made.covariance, atol=2 * 5 * np.sqrt(2 / count))


def test_many_own_rows_take_up_what_a_coefficient_would_do() -> None:
    """A fitted group's effects followed its misfit; without own rows all of it is open."""
    scene = make_scene()
    data = scene.data
    stage = take_window(data, "decode", scene.window(0), data.hardware[GPUS[0]], "")
    one = np.ones(1)
    made = Misfit(
        stage.places, stage.own_places, stage.taken_up, 0.5 * one, 0.5 * one, 0.5 * one, one
    )
    open_ = replace(made, own_places=made.own_places[:0], taken_up=made.taken_up[:, :0])
    scatter = [
        Scores(stage, replace(row_errors(stage), misfit=each), Course(np.array([0]))).scatter[0]
        for each in (made, open_)
    ]
    known, unknown = (float(each[-1, -1]) for each in scatter)  # of all terms together
    assert known < 0.5 * unknown


def test_a_change_is_known_less_well_where_neighbours_share() -> None:
    """J S^-1 J: what a step scatters by is its inverse, as a generalised inverse has it."""
    stage = window(draw(0.9, 0.1, 1)[:, 0])
    scores = make_scores(stage, Course(np.array([0])))
    error = stage.error[:, None]
    found, known = scores.likelihood(scores.of_changes(error)[:, :, 0])
    free = np.s_[:3]  # the last direction is the sum of two others
    steps = np.linalg.solve(known[0][free, free], found[0][free])
    plain = np.linalg.solve(scores.information[0][free, free], scores.of_changes(error)[0, free, 0])
    np.testing.assert_allclose(steps, plain, rtol=1e-5)
    spread = np.linalg.inv(scores.information[0][free, free])
    sandwich = spread @ scores.scatter[0][free, free] @ spread
    np.testing.assert_allclose(np.linalg.inv(known[0][free, free]), sandwich, rtol=1e-5)


def alarms(*, aware: bool) -> int:
    """How many of the windows with misfit, and without drift, are called one."""
    found = 0
    for number, error in enumerate(draw(0.95, 0.15, WINDOWS).T):
        stage = window(error)
        errors = row_errors(stage)
        if not aware:
            errors = replace(errors, misfit=None)
        scores = Scores(stage, errors, Course.blocks(ROWS))
        test = compare_window(scores, LEVEL, np.random.default_rng([4, number]))
        found += test.p_value <= LEVEL
    return found


def test_misfit_is_no_drift() -> None:
    """More alarms than this in one of a thousand, if they are as rare as stated."""
    assert binomtest(alarms(aware=True), WINDOWS, LEVEL, alternative="greater").pvalue > 0.001


def test_a_test_that_takes_errors_as_independent_calls_it_one() -> None:
    """The broken twin."""
    assert binomtest(alarms(aware=False), WINDOWS).proportion_ci(0.99).low > 2 * LEVEL
