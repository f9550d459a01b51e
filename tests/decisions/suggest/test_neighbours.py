"""What configurations close by share, and what it changes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from bayeslat.decisions.suggest import share_weighted
from bayeslat.decisions.suggest.neighbours import Measurements, shared_covariance
from bayeslat.decisions.suggest.problem import DesignProblem, StageDesign
from tests.decisions.suggest.problems import (
    NOISE_SHARED,
    make_problem,
    make_stage,
    misfit_covariance,
)

RNG = np.random.default_rng(0)


def test_what_is_shared_falls_with_distance() -> None:
    rows = make_stage(np.random.default_rng(3), 12).candidates
    some, others = rows.take(slice(5)), rows.take(slice(5, None))
    found = shared_covariance(some, others, NOISE_SHARED)
    np.testing.assert_allclose(found, misfit_covariance(rows)[:5, 5:], rtol=1e-10)
    assert not shared_covariance(some, others, 0.0).any()
    nowhere = replace(rows, places=np.empty((12, 0)))
    assert not shared_covariance(nowhere, nowhere, NOISE_SHARED).any()


def line(places: np.ndarray, shared: float) -> DesignProblem:
    """A straight line over candidates along one coordinate, with equal noise."""
    size = len(places)
    stage = replace(
        make_stage(np.random.default_rng(0), size, features=2),
        candidates=Measurements(
            design=np.stack([np.ones(size), places], axis=1),
            blur_sd=np.full(size, 0.1),
            noise_sd=np.full(size, 0.1),
            places=places[:, None],
            weights=np.ones(size),
        ),
        made=Measurements(
            np.empty((0, 2)), np.empty(0), np.empty(0), np.empty((0, 1)), np.empty(0)
        ),
        covariance=np.eye(2),
        share=np.ones(size),
        noise_shared=shared,
    )
    eligible = np.ones(size, dtype=bool)
    return replace(
        make_problem(size), stages=(stage,), noise_correlation=np.eye(1), eligible=eligible
    )


def test_rows_are_spread_as_what_is_to_be_predicted() -> None:
    """Independent noise sends all but one to the ends (broken twin)."""
    places = np.linspace(-1.0, 1.0, 41)
    spread, ends = (
        places[share_weighted.choose(line(places, shared), 6, RNG)] for shared in (0.9, 0.0)
    )
    assert np.sum(np.abs(ends) > 0.8) >= 5
    assert np.sum(np.abs(spread) < 0.8) >= 4
    assert np.diff(np.sort(spread)).min() > 0.1


def corners() -> tuple[StageDesign, np.ndarray]:
    """Two good measurements side by side, and a slightly worse one far off."""
    size = 3
    stage = replace(
        make_stage(np.random.default_rng(0), size, features=1),
        candidates=Measurements(
            design=np.ones((size, 1)),
            blur_sd=np.array([0.1, 0.1, 0.11]),
            noise_sd=np.array([0.1, 0.1, 0.11]),
            places=np.array([[0.0, 0.0], [0.02, 0.0], [0.9, 0.9]]),
            weights=np.ones(size),
        ),
        covariance=np.ones((1, 1)),
        share=np.ones(size),
    )
    return stage, np.ones(size, dtype=bool)


def test_the_second_measurement_goes_elsewhere() -> None:
    stage, eligible = corners()
    problem = replace(
        make_problem(3), stages=(stage,), noise_correlation=np.eye(1), eligible=eligible
    )
    assert share_weighted.choose(problem, 2, RNG).tolist() in ([0, 2], [1, 2])
    # The broken twin takes its neighbour.
    twin = replace(problem, stages=(replace(stage, noise_shared=0.0),))
    assert share_weighted.choose(twin, 2, RNG).tolist() == [0, 1]


def test_nor_is_the_neighbour_of_an_earlier_one_measured_next() -> None:
    stage, eligible = corners()
    eligible[0] = False
    first = stage.candidates.take(slice(1))
    told = replace(stage, made=first, covariance=np.full((1, 1), 0.01 / 1.01))
    problem = replace(
        make_problem(3), stages=(told,), noise_correlation=np.eye(1), eligible=eligible
    )
    assert share_weighted.choose(problem, 1, RNG).tolist() == [2]
    forgetful = replace(problem, stages=(replace(stage, covariance=told.covariance),))
    assert share_weighted.choose(forgetful, 1, RNG).tolist() == [1]
