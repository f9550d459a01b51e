"""The scale regression against known slopes, and its gradient against differences."""

from __future__ import annotations

import numpy as np
import pytest

from bayeslat.inference.rows.noise import _Group, _objective, fit_noise_shape
from tests.regressions import Array, draw_errors

MAX_ERRORS = 4.0
SLOPES = np.array([0.4, -0.25])
DOF = 4.0
PRIOR_SD = 0.3


def draw_group(
    seed: int, rows: int, level: float, slopes: Array = SLOPES, low: float = -1.0
) -> tuple[Array, Array, Array]:
    """Draw Student-t4 errors whose log scale is level + columns @ slopes; with weights of 1."""
    rng = np.random.default_rng(seed)
    place = rng.uniform(low, low + 2.0, (rows, 1))
    columns = np.concatenate([place, place**2], axis=1)
    error = np.exp(level + columns @ slopes) * draw_errors(rng, rows, DOF)
    return error, columns, np.ones(rows)


def slope_errors(groups: list[tuple[Array, Array, Array]]) -> Array:
    """Posterior sds: the information of a log scale is 2 dof / (dof + 3) a row. Shape (column,)."""
    information = np.eye(2) / PRIOR_SD**2
    for _, columns, weights in groups:
        away = columns - np.average(columns, axis=0, weights=weights)
        information += 2 * DOF / (DOF + 3) * (away.T * weights) @ away
    errors: Array = np.sqrt(np.diag(np.linalg.inv(information)))
    return errors


def fit(groups: list[tuple[Array, Array, Array]]) -> Array:
    errors, columns, weights = zip(*groups, strict=True)
    return fit_noise_shape(errors, columns, weights).slopes


def test_known_slopes_are_recovered() -> None:
    groups = [draw_group(1, 2000, np.log(0.02)), draw_group(2, 1000, np.log(0.1))]
    error = slope_errors(groups)
    off = (fit(groups) - SLOPES) / error
    assert np.all(np.abs(off) < MAX_ERRORS)
    # The broken twin: what has no shape is seen not to have these slopes.
    flat = [draw_group(1, 2000, -4.0, 0 * SLOPES), draw_group(2, 1000, -2.0, 0 * SLOPES)]
    assert np.all(np.abs(fit(flat)) < MAX_ERRORS * slope_errors(flat))
    assert np.abs((fit(flat) - SLOPES) / error).max() > 3 * MAX_ERRORS


def test_groups_of_different_level_do_not_matter() -> None:
    groups = [draw_group(3, 800, -3.0), draw_group(4, 800, -3.0, low=0.0)]
    louder = [groups[0], (20.0 * groups[1][0], *groups[1][1:])]
    np.testing.assert_allclose(fit(louder), fit(groups), atol=1e-3)
    # The broken twin: as one group, the louder one's configurations would be taken for the cause.
    pooled = tuple(np.concatenate(parts) for parts in zip(*louder, strict=True))
    off = np.abs(fit([(pooled[0], pooled[1], pooled[2])]) - SLOPES) / slope_errors(louder)
    assert off.max() > 3 * MAX_ERRORS


def test_how_wild_an_outlier_is_does_not_matter() -> None:
    error, columns, weights = draw_group(5, 1500, -3.0)
    bad = (columns[:, 0] > 0.5) & (np.arange(1500) % 20 == 0)
    mild, wild = (np.where(bad, factor, 1.0) * error for factor in (1e3, 1e6))
    numeric = 0.1 * slope_errors([(error, columns, weights)])
    moved = np.abs(fit([(wild, columns, weights)]) - fit([(mild, columns, weights)]))
    assert np.all(moved < numeric)

    def least_squares(errors: Array) -> Array:
        """The broken twin: a parabola through the logs of the errors."""
        return np.polyfit(columns[:, 0], np.log(np.abs(errors)), 2)[1::-1]

    assert np.all(np.abs(least_squares(wild) - least_squares(mild)) > 10 * numeric)


def test_a_row_that_counts_for_two_is_two_rows() -> None:
    error, columns, weights = draw_group(6, 60, -3.0)
    two = fit([(np.tile(error, 2), np.tile(columns, (2, 1)), np.tile(weights, 2))])
    np.testing.assert_allclose(fit([(error, columns, 2 * weights)]), two, atol=1e-4)


def test_few_rows_say_little_against_the_prior() -> None:
    """Ten rows of hardly any error at one end: the slope stays plausible."""
    error, columns, weights = draw_group(7, 10, -3.0)
    slopes = fit([(np.where(columns[:, 0] < 0, 1e-9, error), columns, weights)])
    assert np.all(np.abs(slopes) < 5 * PRIOR_SD)


def test_fewer_than_ten_rows_a_group_leave_it_flat() -> None:
    few = [draw_group(8, 9, -3.0), draw_group(9, 40, -3.0)]
    error, columns, weights = few[1]
    fitted = fit_noise_shape([few[0][0], error], [few[0][1], columns], [few[0][2], weights / 5])
    np.testing.assert_array_equal(fitted.slopes, 0.0)  # 40 repeats that count for 8 rows
    np.testing.assert_array_equal(fitted.centre, 0.0)
    assert fit(few).any()  # the second group alone has enough
    np.testing.assert_array_equal(fit(few), fit(few[1:]))


def test_without_columns_it_is_flat() -> None:
    error, columns, weights = draw_group(10, 50, -3.0)
    shape = fit_noise_shape([error], [columns[:, :0]], [weights])
    assert shape.slopes.shape == shape.centre.shape == (0,)


@pytest.mark.parametrize("silent", [1, 20])
def test_errors_of_which_some_are_zero_stay_finite(silent: int) -> None:
    error, columns, weights = draw_group(11, 40, -3.0)
    error[:silent] = 0.0
    assert np.all(np.isfinite(fit([(error, columns, weights)])))


def test_the_spread_is_one_on_average_over_the_rows() -> None:
    """In logs, over the rows that were fitted, by what each counts for."""
    rng = np.random.default_rng(12)
    groups = [draw_group(13, 90, -3.0), draw_group(14, 50, -1.0, low=0.0)]
    weighted = [(error, columns, rng.uniform(0.2, 1.0, len(error))) for error, columns, _ in groups]
    errors, columns, weights = zip(*weighted, strict=True)
    shape = fit_noise_shape(errors, columns, weights)
    log_spread = (np.concatenate(columns) - shape.centre) @ shape.slopes
    assert np.average(log_spread, weights=np.concatenate(weights)) == pytest.approx(0, abs=1e-12)
    assert abs(log_spread.mean()) > 1e-6  # the broken twin: weights forgotten


def test_the_gradient_is_that_of_the_objective() -> None:
    rng = np.random.default_rng(15)
    groups = []
    for seed, rows in ((16, 30), (17, 12)):
        error, columns, _ = draw_group(seed, rows, 0.0)
        groups.append(_Group(error, columns, rng.uniform(0.2, 1.0, rows)))
    for point in 0.5 * rng.standard_normal((4, 4)):
        value, gradient = _objective(point, groups)
        assert np.isfinite(value)
        step = 1e-5 * np.eye(4)
        expected = [
            (_objective(point + each, groups)[0] - _objective(point - each, groups)[0]) / 2e-5
            for each in step
        ]
        np.testing.assert_allclose(gradient, expected, rtol=1e-6, atol=1e-6)
