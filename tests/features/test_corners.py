"""Corners of the training range without a configuration are found, and no others."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import qmc

from bayeslat.features.corners import CELLS, Corners, cell_of, find_corners
from bayeslat.features.residual import span_basis

MARGIN = 0.25


def even(count: int, features: int = 2, seed: int = 0) -> np.ndarray:
    """Configurations that fill the range, with its ends."""
    points = 2.0 * qmc.Sobol(features, seed=seed).random(count) - 1.0
    return points / np.abs(points).max(axis=0)


def test_a_depth_is_how_far_both_features_must_come_back() -> None:
    known = even(256)
    known = known[~((known[:, 0] > 0.2) & (known[:, 1] > 0.0))]
    corners = find_corners(known)
    middles = (np.arange(CELLS) + 0.5) / (CELLS / 2) - 1.0
    margin = 2.0 * np.sqrt(5.0 / len(known))
    assert corners.margin == pytest.approx(max(MARGIN, margin))
    for one in middles[::3]:
        for two in middles[::2]:
            out = np.sign([one, two])
            # By hand: step back until some configuration is as extreme.
            steps = np.linspace(0.0, 3.0, 3001)
            back = out * np.array([one, two]) - steps[:, None]
            as_extreme = (out * known >= back[:, None, :] - 1e-12).all(axis=2).any(axis=1)
            depth = steps[np.argmax(as_extreme)]
            found = corners.excess(np.array([[one, two]])).item()
            near = abs(depth - corners.margin) < 2e-3
            assert near or found == pytest.approx(depth * (depth > corners.margin), abs=2e-3)
    assert corners.excess(np.array([[0.97, 0.97]])).item() > 0.3
    # The other corners are known.
    others = np.array([[-0.97, -0.97], [-0.97, 0.97], [0.97, -0.97]])
    assert not corners.excess(others).any()


@pytest.mark.parametrize("count", [32, 128, 512])
def test_designs_that_fill_the_range_have_no_empty_corner(count: int) -> None:
    """At most one in a hundred of what is drawn in the same way seems to lie in one."""
    rng = np.random.default_rng(1)
    flagged = [
        find_corners(even(count, 5, seed)).excess(rng.uniform(-1, 1, (2000, 5))) > 0
        for seed in range(5)
    ]
    assert np.mean(flagged) < 0.01


def test_a_value_between_measured_ones_is_known() -> None:
    """Batches of 1, 2, 4 and 8 tell of 6."""
    batch, tokens = np.meshgrid(np.log([1, 2, 4, 8]), np.log([64, 256, 1024, 4096]))
    raw = np.column_stack([batch.ravel(), tokens.ravel()])
    basis = span_basis(["log(batch)", "log(tokens)"], 2, raw)
    between = np.log([[6, 4096], [8, 3000], [3, 100], [1, 64], [8, 4096]])
    assert not basis.excess(between).any()
    # Of few configurations the margin is wide; of the same shape with many it is not.
    many = np.concatenate([raw + shift for shift in 0.01 * even(16)])
    for rows, deep in ((raw, False), (many, True)):
        seen = rows[~((rows[:, 0] > np.log(3)) & (rows[:, 1] > np.log(500)))]
        basis = span_basis(["log(batch)", "log(tokens)"], 2, seen)
        assert bool(basis.excess(np.log([[8, 4000]]))[0, 2] > 0.1) == deep
        assert not basis.excess(np.log([[8, 200], [2, 4000]])).any()


def test_features_that_add_up_have_no_corners() -> None:
    raw = even(256)
    raw = raw[~(raw > 0.0).all(axis=1)]
    assert len(span_basis(["x", "z"], 2, raw).corners.pairs) == 1
    assert len(span_basis(["x", "z"], 1, raw).corners.pairs) == 0


def test_the_deepest_corner_counts() -> None:
    known = even(512, 3)
    known = known[~((known[:, 0] > 0.5) & (known[:, 1] > 0.5))]
    known = known[~((known[:, 0] > 0.0) & (known[:, 2] < 0.0))]
    corners = find_corners(known)
    points = np.array([[0.9, 0.9, 0.9], [0.9, -0.9, -0.9], [0.9, 0.9, -0.9], [-0.9, 0.9, -0.9]])
    found = corners.excess(points)
    assert found[0] > 0
    assert found[1] > found[0]
    assert found[2] == found[1]  # not their sum
    assert found[3] == 0
    depths, deepest = corners.depths(points), corners.deepest(points)
    np.testing.assert_array_equal(depths.max(axis=1), found)
    assert (depths[2] > 0).all()
    assert np.count_nonzero(deepest, axis=1).tolist() == [1, 1, 1, 0]
    np.testing.assert_array_equal(deepest.max(axis=1), found)
    assert corners.names(["a", "b", "c"]) == ("a with b", "a with c")


def test_what_is_measured_later_is_known() -> None:
    known = even(256)
    known = known[~(known > 0.0).all(axis=1)]
    corners = find_corners(known)
    points = np.array([[0.97, 0.97], [0.6, 0.97], [0.97, 0.6]])
    assert (corners.excess(points) > 0).all()
    left = corners.with_configs(np.array([[0.6, 1.0], [-0.5, -0.5]]))
    assert (left.excess(points) > 0).tolist() == [True, False, True]
    assert len(left.with_configs(np.ones((1, 2))).pairs) == 0
    assert corners.with_configs(np.empty((0, 2))) is corners


def test_without_corners_nothing_is_deep() -> None:
    assert Corners().excess(even(8)).tolist() == [0.0] * 8
    assert find_corners(np.empty((4, 0))).pairs.shape == (0, 2)


def test_what_was_measured_at_a_border_of_cells_is_in_one_cell() -> None:
    border = np.array([0.0, 1e-12, -1e-12, 0.25 + 1e-12, 0.25 - 1e-12, 1.0, -1.0])
    assert cell_of(border).tolist() == [8, 8, 8, 10, 10, CELLS - 1, 0]
