"""How far a coordinate lies beyond its training range, whatever its unit."""

from __future__ import annotations

import numpy as np
import pytest

from bayeslat.features.residual import DEGREE_SHRINKAGE, ResidualBasis, span_basis


def spanned(low: float, high: float, name: str = "size") -> ResidualBasis:
    """Return a basis without features, which watches one coordinate."""
    return span_basis([], 0, np.array([[low], [high]]), watched=[name])


def excess(basis: ResidualBasis, *values: float) -> np.ndarray:
    return basis.excess(np.array(values)[:, None])[:, 0]


def test_a_range_counts_in_half_widths() -> None:
    basis = spanned(-10, 10)
    np.testing.assert_allclose(excess(basis, -10, 7, 10, 15, -12), [0, 0, 0, 0.5, 0.2])
    assert basis.moved.tolist() == [True]


def test_a_rounding_error_beyond_the_edge_is_not_out() -> None:
    assert excess(spanned(-10, 10), 10 + 1e-10, -10 - 1e-10).tolist() == [0.0, 0.0]
    np.testing.assert_allclose(excess(spanned(-10, 10), 10 + 1e-5), 1e-6)


def test_a_power_of_e_beyond_a_range_is_at_most_two_half_widths() -> None:
    """Whatever the unit, and however narrow the range: 24 and 25 layers tell of 64 as 24 do."""
    sizes = np.array([10.0, 20.0, 160.0, 9.0])
    expected = [0, 2 * np.log(20 / 12), 2 * np.log(160 / 12), 2 * np.log(10 / 9)]
    np.testing.assert_allclose(excess(spanned(10, 12), *sizes), expected)
    np.testing.assert_allclose(excess(spanned(10e9, 12e9), *1e9 * sizes), expected)
    found = excess(spanned(np.log(10), np.log(12), "log(size)"), *np.log(sizes))
    np.testing.assert_allclose(found, expected, atol=1e-12)
    # From 0 on: at the edge as before, and eight times the largest is not 14 half widths away.
    np.testing.assert_allclose(excess(spanned(0, 4), 4.004, 32), [0.002, 2 * np.log(8)], rtol=1e-3)
    # A wide range of logs is wider than that.
    np.testing.assert_allclose(excess(spanned(0, 8, "log(size)"), 10), [0.5])


@pytest.mark.parametrize(("low", "high"), [(0, 4), (3, 3.5), (-2, 1), (-3, 0), (0.2, 0.9), (5, 5)])
def test_what_lies_farther_out_counts_as_farther(low: float, high: float) -> None:
    basis = spanned(low, high)
    out = np.geomspace(1e-6, 1e6, 200)
    single = low > 0 and low == high  # a size that is none is a unit away from a single one
    down = out[out < low] if single else out
    for distances in (excess(basis, *high + out), excess(basis, *low - down)):
        assert np.all(np.diff(distances) > 0)
        assert distances[0] < 1e-4


def test_no_power_of_e_leads_to_nothing() -> None:
    """None of what always was 36 to 40 is farther away than one; it was nearer than ten."""
    np.testing.assert_allclose(excess(spanned(36, 40), 10, 0, -2), [2 * np.log(3.6), 18, 19])
    found = excess(spanned(np.log(2), np.log(4), "log(size)"), np.log(0.5))
    np.testing.assert_allclose(found, 2 * np.log(4))


@pytest.mark.parametrize("high", np.geomspace(0.3, 3e9, 7) * np.pi)
def test_the_edge_of_a_range_is_1_whatever_its_rounding(high: float) -> None:
    for low in np.linspace(-high, high, 9)[:-1]:
        basis = spanned(low, high)
        places = basis.places(np.array([[low], [high], [np.nextafter(high, np.inf)]]))
        np.testing.assert_allclose(places[:, 0], [-1.0, 1.0, 1.0])


@pytest.mark.parametrize("unit", [1e-6, 1.0, 1e9])
def test_a_size_that_never_moved_counts_in_powers_of_e(unit: float) -> None:
    basis = spanned(11008 * unit, 11008 * unit)
    assert basis.moved.tolist() == [False]
    found = excess(basis, 11008 * unit, 28672 * unit, 4226 * unit)
    np.testing.assert_allclose(found, [0, np.log(28672 / 11008), np.log(11008 / 4226)])


@pytest.mark.parametrize(
    ("start", "value", "expected"),
    [(0, 1, 1), (0, -0.3, 0.3), (-2, -1, 0.5), (5, 0, 1), (1, 0, 1), (0.5, -0.2, 0.7)],
)
def test_other_numbers_that_never_moved_count_in_units_of_their_size(
    start: float, value: float, expected: float
) -> None:
    np.testing.assert_allclose(excess(spanned(start, start), value, start), [expected, 0])


def test_beyond_the_first_of_these_units_they_count_in_powers_of_e() -> None:
    """A count that was always 0, as tokens that no step had, is not thousands of ranges away."""
    found = excess(spanned(0, 0), 4096, -np.e, 1 + 1e-9)
    np.testing.assert_allclose(found, [1 + np.log(4096), 2, 1])
    np.testing.assert_allclose(excess(spanned(-2, -2), 4), [1 + np.log(3)])


def test_a_log_that_never_moved_counts_as_it_is() -> None:
    basis = spanned(np.log(64), np.log(64), "log(context)")
    np.testing.assert_allclose(excess(basis, np.log(64), np.log(4096)), [0, np.log(64)])


def test_a_feature_that_never_moved_has_columns_of_zeros_where_it_was() -> None:
    basis = span_basis(["context"], 2, np.full((3, 1), 64.0))
    columns = basis.columns(np.array([[64.0], [640.0], [6.4]]))
    np.testing.assert_array_equal(columns, [[0, 0], [1, 1], [-1, 1]])


RAW = np.array([[2.0, 10.0], [4.0, 30.0], [6.0, 20.0], [3.0, 15.0]])
SCALED = np.array([[-1.0, -1.0], [0.0, 1.0], [1.0, 0.0], [-0.5, -0.5]])


def test_features_span_minus_one_to_one_over_the_rows() -> None:
    basis = span_basis(["x", "z"], 1, RAW)
    np.testing.assert_allclose(basis.scaled(RAW), SCALED, atol=1e-12)
    np.testing.assert_array_equal(basis.low, [2.0, 10.0])
    np.testing.assert_array_equal(basis.high, [6.0, 30.0])


def test_columns_are_powers_then_products() -> None:
    basis = span_basis(["x", "z"], 3, RAW)
    x, z = SCALED.T
    expected = np.stack([x, z, x**2, z**2, x**3, z**3, x * z], axis=1)
    np.testing.assert_allclose(basis.columns(RAW), expected, atol=1e-12)
    assert basis.names == ("x", "z", "x^2", "z^2", "x^3", "z^3", "x * z")
    assert basis.kinds == ("residual",) * 7
    assert basis.offset_scales == (*("residual x", "residual z") * 3, "residual, all products")
    shrunk = [1.0, 1.0] + [DEGREE_SHRINKAGE] * 5
    np.testing.assert_array_equal(basis.multiplier, shrunk)


@pytest.mark.parametrize(("features", "degree", "count"), [(1, 4, 4), (3, 1, 3), (3, 2, 9)])
def test_products_enter_from_degree_two(features: int, degree: int, count: int) -> None:
    raw = np.random.default_rng(1).uniform(size=(5, features))
    basis = span_basis([f"f{i}" for i in range(features)], degree, raw)
    assert basis.columns(raw).shape == (5, count)
    assert len(basis.names) == len(set(basis.names)) == len(basis.multiplier) == count


def test_tasks_are_indicators_and_an_unknown_one_has_none() -> None:
    basis = span_basis(["x"], 1, RAW[:, :1], tasks=["chat", "qa"])
    columns = basis.columns(RAW[:, :1], ["qa", "chat", "ocr", "qa"])
    np.testing.assert_array_equal(columns[:, 1:], [[0, 1], [1, 0], [0, 0], [0, 1]])
    np.testing.assert_array_equal(basis.columns(RAW[:, :1])[:, 1:], 0.0)
    assert basis.names == ("x", "task=chat", "task=qa")
    assert basis.kinds == ("residual", "task", "task")
    assert basis.offset_scales == ("residual x", *("residual, all tasks",) * 2)
    np.testing.assert_array_equal(basis.multiplier, 1.0)


def test_beyond_the_range_columns_stay_at_the_edge_and_the_excess_says_how_far() -> None:
    basis = span_basis(["x"], 2, RAW, watched=["z"])
    far = np.array([[10.0, 20.0], [0.0, 50.0], [5.0, 25.0]])
    edge = np.array([[6.0, 20.0], [2.0, 30.0], [5.0, 25.0]])
    np.testing.assert_array_equal(basis.columns(far), basis.columns(edge))
    # Half widths are 2 and 10; upwards, powers of e are less.
    expected = [[2 * np.log(10 / 6), 0.0, 0.0], [1.0, 2 * np.log(50 / 30), 0.0], [0.0, 0.0, 0.0]]
    np.testing.assert_allclose(basis.excess(far), expected)
    assert basis.directions == ("x", "z", "features together")
    assert basis.spans.tolist() == [True, True, True]
    assert basis.tells.tolist() == [True, False, True]
    np.testing.assert_array_equal(basis.excess(RAW), 0.0)


def test_watched_coordinates_have_no_columns() -> None:
    basis = span_basis(["x"], 2, RAW, watched=["z"])
    alone = span_basis(["x"], 2, RAW[:, :1])
    np.testing.assert_array_equal(basis.columns(RAW), alone.columns(RAW[:, :1]))
    assert basis.names == alone.names


def test_without_features_there_are_no_columns() -> None:
    basis = span_basis([], 0, RAW, watched=["x", "z"])
    assert basis.columns(RAW).shape == (4, 0)
    assert basis.names == basis.kinds == basis.offset_scales == ()
    assert basis.scaled(RAW).shape == (4, 0)


def test_a_degree_of_zero_corrects_nothing() -> None:
    assert span_basis(["x", "z"], 0, RAW).columns(RAW).shape == (4, 0)
