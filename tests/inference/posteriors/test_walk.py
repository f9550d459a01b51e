"""What rows beyond the training range tell: a line and a random walk, known as far as they go."""

from __future__ import annotations

import numpy as np
import pytest

from bayeslat.inference.posteriors.walk import Trail, Walk, farthest, find_trail, walked

OUT = np.array([0.25, 0.5, 1.5])  # half widths beyond the range
PLACES = np.array([[0.3, -1.0], [1.25, 0.0], [1.5, 0.2], [2.5, -1.0]])


def at(*distances: float) -> np.ndarray:
    """Configs so far above the range of the first of two coordinates."""
    return np.column_stack([1.0 + np.array(distances), np.zeros(len(distances))])


def walk(steps: np.ndarray | None = None) -> Walk:
    trail = find_trail(PLACES)
    steps = np.zeros((1, len(trail))) if steps is None else steps
    return Walk(trail, steps, farthest(trail.distances(PLACES)))


def test_a_trail_is_a_line_and_a_walk() -> None:
    """Covariance d d' + min(d, d') at measured distances, for independent columns."""
    trail = find_trail(PLACES)
    assert set(trail.direction) == {0}
    assert set(trail.sign) == {1.0}
    columns = trail.columns(at(*OUT))
    expected = np.outer(OUT, OUT) + np.minimum(OUT[:, None], OUT)
    np.testing.assert_allclose(columns @ columns.T, expected, atol=1e-12)
    # That is the variance with which predictions widen where nothing was measured.
    np.testing.assert_allclose(np.sum(columns**2, axis=1), walked(OUT) ** 2)


def test_between_measured_distances_a_walk_is_straight() -> None:
    one, between, other = find_trail(PLACES).columns(at(0.5, 1.0, 1.5))
    np.testing.assert_allclose(between, 0.5 * (one + other))


def test_beyond_the_last_row_the_line_goes_on_and_another_walk_begins() -> None:
    known = walk(np.eye(4))  # a line, and three stretches
    near, far = known.departures(at(1.5, 2.5))
    np.testing.assert_allclose(far - near, [1.0, 0.0, 0.0, 0.0])
    places = at(0.7, 1.5, 2.5)
    excess = np.column_stack([places[:, 0] - 1.0, np.zeros((3, 2))])
    # Between two rows, a Brownian bridge of its variance; at a row, none.
    between = known.trail.bridges(places).sum(axis=1)
    np.testing.assert_allclose(known.growth(places, excess)[:, 0] ** 2, between + np.eye(3)[2])
    np.testing.assert_allclose(between, [0.16, 0.0, 0.0])
    # On the other side, and in another direction, nothing is known.
    other = np.array([[-1.5, 0.0], [0.0, 2.0]])
    excess = np.array([[0.5, 0.0, 0.0], [0.0, 1.0, 0.0]])
    np.testing.assert_allclose(known.growth(other, excess), walked(excess))
    np.testing.assert_allclose(known.departures(other), 0.0)


def test_inside_the_range_there_is_none() -> None:
    inside = np.array([[1.0, -1.0], [0.0, 0.0], [-1.0, 1.0]])
    assert not find_trail(inside).columns(PLACES).size
    np.testing.assert_array_equal(find_trail(PLACES).columns(inside), 0.0)


def test_a_hair_beyond_the_range_is_beyond_it_and_a_rounding_error_is_not() -> None:
    assert len(find_trail(at(1e-6))) == 2
    assert not find_trail(at(1e-12))


def test_many_distances_make_few_stretches() -> None:
    distances = np.linspace(0.01, 3.0, 200)
    trail = find_trail(at(*distances))
    assert len(trail) == 5
    assert trail.end.max(where=np.isfinite(trail.end), initial=0.0) == pytest.approx(3.0)


@pytest.mark.parametrize(
    ("place", "covered"),
    [
        ((2.0, 0.0), True),  # between rows
        ((2.5, -1.0), True),  # a row
        ((2.6, 0.0), False),  # farther out
        ((-1.2, 0.0), False),  # on the other side
        ((2.0, 1.1), False),  # in another direction too
    ],
)
def test_configs_are_covered_that_lie_no_farther_out(
    place: tuple[float, float], covered: bool
) -> None:
    places = np.array([place])
    excess = np.column_stack([np.maximum(np.abs(places) - 1.0, 0.0), [0.0]])
    assert walk().covers(places, excess).tolist() == [covered]
    excess[:, 2] = 0.3  # in an empty corner, whatever is known of the sides
    assert not walk().covers(places, excess).any()


def test_two_sides_are_covered_together_only_by_a_row_on_both() -> None:
    apart = np.array([[1.5, 0.0], [0.0, 1.5]])
    both, single = np.array([[1.4, 1.4]]), np.array([[1.4, 0.0]])
    for rows, expected in ((apart, False), (np.vstack([apart, [[1.45, 1.45]]]), True)):
        trail = find_trail(rows)
        known = Walk(trail, np.zeros((1, len(trail))), farthest(trail.distances(rows)))
        for places, covered in ((both, expected), (single, True)):
            excess = np.column_stack([np.maximum(np.abs(places) - 1.0, 0.0), [0.0]])
            assert known.covers(places, excess).tolist() == [covered]


def test_how_far_out_any_row_lies_is_told_side_by_side() -> None:
    measured = np.array([[1.5, -4.0], [1.25, 0.0], [0.0, -2.0]])
    trail = find_trail(measured)
    known = Walk(trail, np.zeros((1, len(trail))), farthest(trail.distances(measured)))
    asked = find_trail(np.array([[9.0, -9.0], [-9.0, 9.0]]))
    far = {(0, 1.0): 0.5, (0, -1.0): 0.0, (1, 1.0): 0.0, (1, -1.0): 3.0}
    expected = [
        far[side] for side in zip(asked.direction.tolist(), asked.sign.tolist(), strict=True)
    ]
    assert set(expected) == {0.0, 0.5, 3.0}
    np.testing.assert_allclose(known.far_on(asked), expected)


def test_rows_that_lie_no_farther_out_than_another_say_nothing_more() -> None:
    rows = np.array([[0.5, 0.0], [0.4, 0.0], [0.0, 0.3], [0.2, 0.3], [0.5, 0.0]])
    np.testing.assert_allclose(farthest(rows), [[0.2, 0.3], [0.5, 0.0]])


def test_draws_are_kept_together() -> None:
    steps = np.arange(12.0).reshape(3, 4)
    kept = walk(steps).take(np.array([2, 0]))
    np.testing.assert_array_equal(kept.steps, steps[[2, 0]])
    assert isinstance(kept.trail, Trail)
