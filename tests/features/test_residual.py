"""How far a coordinate lies beyond its training range, whatever its unit."""

from __future__ import annotations

import numpy as np
import pytest

from bayeslat.features.residual import ResidualBasis, span_basis


def spanned(low: float, high: float, name: str = "size") -> ResidualBasis:
    """Return a basis without features, which watches one coordinate."""
    return span_basis([], 0, np.array([[low], [high]]), watched=[name])


def excess(basis: ResidualBasis, *values: float) -> np.ndarray:
    return basis.excess(np.array(values)[:, None])[:, 0]


def test_a_range_counts_in_half_widths() -> None:
    basis = spanned(10, 30)
    np.testing.assert_allclose(excess(basis, 10, 17, 30, 40, 60, -10), [0, 0, 0, 1, 3, 2])
    assert basis.moved.tolist() == [True]


@pytest.mark.parametrize("unit", [1e-6, 1.0, 1e9])
def test_a_size_that_never_moved_counts_in_powers_of_e(unit: float) -> None:
    basis = spanned(11008 * unit, 11008 * unit)
    assert basis.moved.tolist() == [False]
    found = excess(basis, 11008 * unit, 28672 * unit, 4226 * unit)
    np.testing.assert_allclose(found, [0, np.log(28672 / 11008), np.log(11008 / 4226)])


@pytest.mark.parametrize(
    ("start", "value", "expected"),
    [(0, 3, 3), (-2, 4, 3), (5, 0, 1), (5, -5, 2), (1, 0, 1), (0.5, -1, 1.5)],
)
def test_other_numbers_that_never_moved_count_in_units_of_their_size(
    start: float, value: float, expected: float
) -> None:
    assert excess(spanned(start, start), value, start).tolist() == [expected, 0]


def test_a_log_that_never_moved_counts_as_it_is() -> None:
    basis = spanned(np.log(64), np.log(64), "log(context)")
    np.testing.assert_allclose(excess(basis, np.log(64), np.log(4096)), [0, np.log(64)])


def test_a_feature_that_never_moved_has_columns_of_zeros_where_it_was() -> None:
    basis = span_basis(["context"], 2, np.full((3, 1), 64.0))
    columns = basis.columns(np.array([[64.0], [640.0], [6.4]]))
    np.testing.assert_array_equal(columns, [[0, 0], [1, 1], [-1, 1]])
