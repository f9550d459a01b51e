"""How far off calibration will be: as stacking all that is random has it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bayeslat.decisions.suggest.estimate import StageEstimate, first_estimate
from bayeslat.decisions.suggest.neighbours import Measurements
from bayeslat.decisions.suggest.problem import StageDesign
from tests.decisions.suggest.problems import (
    believed_after,
    excess_after,
    make_problem,
    make_stage,
    variance_after,
)

ORDER = [3, 0, 5, 7]
EVERY = np.arange(9)


def after(estimate: StageEstimate, chosen: list[int]) -> StageEstimate:
    for candidate in chosen:
        estimate = estimate.after(candidate)
    return estimate


@pytest.mark.parametrize("count", range(len(ORDER) + 1))
def test_each_update_equals_stacking(count: int) -> None:
    for stage in make_problem().stages:
        found = after(first_estimate(stage), ORDER[:count])
        expected = excess_after(stage, ORDER[:count])
        np.testing.assert_allclose(found.excess(EVERY), expected, rtol=1e-8, atol=1e-12)
        believed = variance_after(stage, ORDER[:count])
        np.testing.assert_allclose(found.believed_variance(EVERY), believed, rtol=1e-8)
        # The broken twin takes what neighbours share for independent, as calibration does.
        assert count == 0 or not np.allclose(expected, believed, rtol=0.01)


def test_without_anything_shared_calibration_is_right() -> None:
    stage = replace(make_stage(np.random.default_rng(3), 9), noise_shared=0.0)
    found = after(first_estimate(stage), ORDER)
    np.testing.assert_allclose(found.excess(EVERY), variance_after(stage, ORDER), rtol=1e-8)


def test_without_coordinates_nothing_is_close() -> None:
    stage = make_stage(np.random.default_rng(3), 9)
    stage = replace(stage, candidates=replace(stage.candidates, places=np.empty((9, 0))))
    found = after(first_estimate(stage), ORDER)
    np.testing.assert_allclose(found.excess(EVERY), variance_after(stage, ORDER), rtol=1e-8)


def test_the_variance_is_that_of_simulated_calibrations() -> None:
    """Effects, misfits and noise drawn; a regression on three rows; errors at all candidates."""
    stage = make_stage(np.random.default_rng(5), 6)
    rng, chosen, draws = np.random.default_rng(0), [0, 2, 4], 200_000
    rows = stage.candidates
    # Two places close by, so that something is shared.
    rows = replace(rows, places=rows.places * 0.1)
    stage = replace(stage, candidates=rows)
    apart = np.linalg.norm(rows.places[:, None] - rows.places[None], axis=2) * np.sqrt(3.0) * 8.0
    misfit = 0.4 * (1 + apart) * np.exp(-apart) * np.outer(rows.noise_sd, rows.noise_sd)
    own = rng.multivariate_normal(np.zeros(6), misfit, draws)
    effects = rng.multivariate_normal(stage.mean, stage.covariance, draws)
    left = np.sqrt(rows.blur_sd**2 - 0.4 * rows.noise_sd**2)
    truth = effects @ rows.design.T + own
    measured = (truth + left * rng.normal(size=(draws, 6)))[:, chosen]
    design = rows.design[chosen]
    weights = believed_after(stage, chosen) @ (design / rows.blur_sd[chosen, None] ** 2).T
    estimate = stage.mean + (measured - design @ stage.mean) @ weights.T
    missed = truth - estimate @ rows.design.T
    expected = after(first_estimate(stage), chosen).excess(np.arange(6)) + np.diag(misfit)
    # Five Monte Carlo errors of a variance.
    np.testing.assert_allclose(missed.var(axis=0), expected, rtol=5 * np.sqrt(2 / draws))


def learnt(stage: StageDesign, chosen: list[int], weights: np.ndarray) -> StageDesign:
    """Take measurements for made, with how many rows each counts for."""
    made = replace(stage.candidates.take(np.array(chosen)), weights=weights)
    rows = made.design * np.sqrt(weights)[:, None] / made.blur_sd[:, None]
    covariance = np.linalg.inv(np.linalg.inv(stage.covariance) + rows.T @ rows)
    return replace(stage, made=made, covariance=covariance)


def test_what_was_made_counts_as_if_it_was_chosen() -> None:
    for stage in make_problem().stages:
        told = first_estimate(learnt(stage, ORDER, np.ones(4)))
        np.testing.assert_allclose(told.excess(EVERY), excess_after(stage, ORDER), rtol=1e-8)


def test_repeats_that_count_for_one_row_are_one_row() -> None:
    """Where all of the blur is the configuration's own, any number of repeats says the same."""
    stage = make_problem().stages[0]
    rows = stage.candidates
    stage = replace(stage, noise_shared=1.0, candidates=replace(rows, noise_sd=rows.blur_sd))
    once = first_estimate(learnt(stage, [3, 7], np.ones(2)))
    thrice = first_estimate(learnt(stage, [3, 7, 3, 3], np.array([1 / 3, 1.0, 1 / 3, 1 / 3])))
    np.testing.assert_allclose(thrice.excess(EVERY), once.excess(EVERY), rtol=1e-8)
    np.testing.assert_allclose(thrice.misled, once.misled, rtol=1e-8, atol=1e-14)


def test_measurements_are_taken_in_part() -> None:
    rows = make_stage(np.random.default_rng(3), 12).candidates
    part = rows.take(np.array([1, 4]))
    assert isinstance(part, Measurements)
    assert len(part) == 2
    np.testing.assert_array_equal(part.places, rows.places[[1, 4]])
