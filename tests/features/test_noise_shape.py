"""The noise shape: what it is within, at the edge of, and beyond the training range."""

from __future__ import annotations

import numpy as np

from bayeslat.features.noise_shape import NoiseShape, noise_columns
from bayeslat.features.residual import span_basis

RAW = np.array([[2.0, 10.0], [4.0, 30.0], [6.0, 20.0]])
BASIS = span_basis(["x", "z"], 2, RAW)
SHAPE = NoiseShape(np.array([0.3, -0.2, 0.1, 0.4]), np.array([0.1, 0.0, 0.5, 0.6]))


def test_columns_are_features_on_minus_one_to_one_and_their_squares() -> None:
    expected = [[-1, -1, 1, 1], [0, 1, 0, 1], [1, 0, 1, 0]]
    np.testing.assert_allclose(noise_columns(BASIS, RAW), expected, atol=1e-12)


def test_the_spread_is_log_linear_in_the_columns() -> None:
    expected = np.exp((noise_columns(BASIS, RAW) - SHAPE.centre) @ SHAPE.slopes)
    np.testing.assert_allclose(SHAPE.spread(BASIS, RAW), expected, rtol=1e-12)
    assert np.ptp(SHAPE.spread(BASIS, RAW)) > 0.1
    # By hand, at the middle row: 0.3 (0 - 0.1) - 0.2 (1 - 0) + 0.1 (0 - 0.5) + 0.4 (1 - 0.6).
    np.testing.assert_allclose(SHAPE.spread(BASIS, RAW)[1], np.exp(-0.12), rtol=1e-12)


def test_beyond_the_range_it_stays_at_its_edge() -> None:
    beyond = np.array([[-100.0, 20.0], [1e6, 1e6]])
    edge = np.array([[2.0, 20.0], [6.0, 30.0]])
    np.testing.assert_array_equal(SHAPE.spread(BASIS, beyond), SHAPE.spread(BASIS, edge))


def test_it_is_one_at_its_centre() -> None:
    shape = NoiseShape(SHAPE.slopes, noise_columns(BASIS, RAW[1:2])[0])
    np.testing.assert_array_equal(shape.spread(BASIS, RAW[1:2]), [1.0])


def test_watched_coordinates_have_no_part_in_it() -> None:
    watched = span_basis(["x"], 2, RAW, watched=["z"])
    assert noise_columns(watched, RAW).shape == (3, 2)
    moved = RAW + np.array([0.0, 5.0])
    shape = NoiseShape(np.array([0.3, 0.1]), np.zeros(2))
    np.testing.assert_array_equal(shape.spread(watched, moved), shape.spread(watched, RAW))


def test_without_features_it_is_one() -> None:
    basis = span_basis([], 0, RAW, watched=["x", "z"])
    shape = NoiseShape(np.empty(0), np.empty(0))
    np.testing.assert_array_equal(shape.spread(basis, RAW), np.ones(3))


def test_flat_is_one_everywhere() -> None:
    shape = NoiseShape(np.zeros(4), np.zeros(4))
    np.testing.assert_array_equal(shape.spread(BASIS, 100 * RAW), np.ones(3))
