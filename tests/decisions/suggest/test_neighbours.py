"""What configurations close by share: as conditioning a Gaussian has it, and what it changes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from bayeslat.decisions.suggest import share_weighted
from bayeslat.decisions.suggest.belief import prior_belief
from bayeslat.decisions.suggest.neighbours import Measurements, Neighbours
from bayeslat.decisions.suggest.problem import StageDesign
from tests.decisions.suggest.problems import blur_covariance, make_problem, make_stage

RNG = np.random.default_rng(0)


def split(stage: StageDesign, made: int) -> tuple[Neighbours, StageDesign]:
    """Take the first candidates for measured, and leave the others."""
    rows = stage.candidates
    before, after = rows.take(slice(made)), rows.take(slice(made, None))
    return Neighbours(after, before, stage.noise_shared), stage


def test_what_was_measured_is_conditioned_on() -> None:
    """By sampling nothing: the inverse of the joint covariance holds the conditional one."""
    stage = make_stage(np.random.default_rng(3), 12)
    found, _ = split(stage, 5)
    joint = blur_covariance(stage, list(range(12)))
    conditional = np.linalg.inv(np.linalg.inv(joint)[5:, 5:])
    np.testing.assert_allclose(found.blur_sd**2, np.diag(conditional), rtol=1e-10)
    apart = ~np.eye(7, dtype=bool)
    blur = found.blur(np.arange(7), np.arange(7))
    np.testing.assert_allclose(blur[apart], conditional[apart], atol=1e-14)
    told = -conditional @ np.linalg.inv(joint)[5:, :5]
    np.testing.assert_allclose(found.design, stage.design[5:] - told @ stage.design[:5], rtol=1e-9)


def test_independent_blurs_are_left_alone() -> None:
    stage = make_stage(np.random.default_rng(3), 12)
    found = replace(split(stage, 5)[0], shared=0.0)
    np.testing.assert_array_equal(found.design, stage.design[5:])
    np.testing.assert_array_equal(found.blur_sd, stage.candidates.blur_sd[5:])
    assert not found.blur(np.arange(7), np.arange(7)).any()


def test_without_coordinates_nothing_is_close() -> None:
    stage = make_stage(np.random.default_rng(3), 12)
    found, _ = split(
        replace(stage, candidates=replace(stage.candidates, places=np.empty((12, 0)))), 5
    )
    np.testing.assert_array_equal(found.design, stage.design[5:])
    assert not found.blur(np.arange(7), np.arange(7)).any()


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
    assert share_weighted.choose(problem, 2, RNG).tolist() == [0, 2]
    # The broken twin takes its neighbour.
    twin = prior_belief(stage, shared=0.0).after(0)
    assert np.argmax(twin.pull[1:, 0] ** 2 / twin.scatter[1:]) == 0


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
