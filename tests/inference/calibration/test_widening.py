"""How wide a departure beyond the training range is, direction by direction."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bayeslat.features.design import linearise, stage_inputs
from bayeslat.features.hardware import load_hardware
from bayeslat.features.residual import ResidualBasis
from bayeslat.inference.calibration.population import population_of
from bayeslat.inference.calibration.widening import (
    correction_rms,
    step_variance,
    walk_steps,
    with_trail,
)
from bayeslat.inference.posteriors.walk import find_trail
from tests.posteriors import make_data

BASIS = ResidualBasis(
    features=("moved", "held"),
    low=np.array([0.0, 1.0, 0.0, 1.0]),
    high=np.array([1.0, 1.0, 1.0, 1.0]),
    degree=2,
    watched=("watched", "watched and held"),
)


@pytest.mark.parametrize(
    ("rms", "usual", "watched"),
    [
        (0.0, 0.05, 0.05),
        (0.06, 0.13, 0.13),  # (2 x 0.06)^2 + 0.05^2
        (0.3, np.hypot(0.6, 0.05), 0.2),
        (7.0, 1.0, 0.2),
    ],
)
def test_steps_are_twice_the_correction_where_features_tell_of_it(
    rms: float, usual: float, watched: float
) -> None:
    expected = [usual, 0.2, watched, 0.2, usual]  # the corners are features' too
    sizes = np.full(2000, rms)
    np.testing.assert_allclose(step_variance(BASIS, sizes), np.square(expected))
    steps = walk_steps(BASIS, sizes, np.random.default_rng(0))
    np.testing.assert_allclose(steps.std(axis=0), expected, rtol=4 / np.sqrt(2 * 2000))


def test_sizes_that_differ_among_draws_add_their_variances() -> None:
    found = step_variance(BASIS, np.array([0.0, 0.06]))
    assert found[0] == pytest.approx((0.05**2 + 0.13**2) / 2)


@pytest.mark.xdist_group("small posterior")
def test_each_side_of_a_trail_is_as_wide_as_its_own_direction() -> None:
    data, gpu, rng = make_data(), load_hardware().resolve("l40s"), np.random.default_rng(1)
    part = data.stages["prefill"]  # told of log(context), and not of batch_size
    reference = stage_inputs(data.spec, "prefill", data.reference, gpu)
    before = population_of(data, "prefill", gpu, None, rng)
    wide = replace(before, spread=10.0 * before.spread)
    point = linearise(part.shared_efficiency + before.departure, reference, part.basis)
    trail = find_trail(np.array([[1.5, 0.0], [0.0, 1.5]]))
    found = with_trail(wide, trail, part, point, reference, np.random.default_rng(2))
    assert found.beyond == len(trail) == 4
    columns = point.design(reference, part.basis)[1][:, part.terms :]
    rms = correction_rms(part, columns, wide.draw(np.random.default_rng(2))[0])
    expected = np.sqrt(step_variance(part.basis, rms))[trail.direction]
    assert expected[0] > 1.5 * expected[-1]
    sd = found.centre[:, -4:].std(axis=0)
    # Of 400 draws whose sizes vary: no heavier tails than a kurtosis of six.
    np.testing.assert_allclose(sd, expected, rtol=4 * np.sqrt(5 / 400) / 2)
    assert not found.spread[:, -4:].any()


@pytest.mark.xdist_group("small posterior")
def test_a_stage_without_a_correction_widens_by_a_tenth_and_what_any_does() -> None:
    data = make_data()
    part = data.stages["decode"]  # of physics alone
    rms = correction_rms(part, np.empty((7, 0)), part.effects[:, -1])
    step = step_variance(part.basis, rms)[-1]
    assert step == pytest.approx(0.1**2 + 0.05**2)
    assert rms.shape == (len(part.effects),)
