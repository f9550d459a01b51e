"""What repeats share: drawn, estimated and weighed as the dense covariance has it."""

from __future__ import annotations

import numpy as np
import pytest

from bayeslat.evaluation.drift.row_errors import RowErrors, row_errors
from tests.evaluation.drift.windows import make_window

CONFIG = np.array([0, 0, 0, 1, 2, 2, 3])


def dense(config: np.ndarray, within: float) -> np.ndarray:
    """Covariance of the rows, written out."""
    same = config[:, None] == config[None, :]
    often = np.bincount(config)[config] > 1
    return np.where(same & often[:, None], 1.0 - within, 0.0) + np.diag(
        np.where(often, within, 1.0)
    )


def test_weighing_is_the_inverse_of_the_covariance() -> None:
    values = np.random.default_rng(0).standard_normal((len(CONFIG), 4))
    errors = RowErrors(CONFIG, np.inf, 0.3, 3)
    expected = np.linalg.solve(dense(CONFIG, 0.3), values)
    np.testing.assert_allclose(errors.weigh(values), expected, rtol=1e-10)


def test_without_repeats_rows_weigh_as_they_are() -> None:
    values = np.random.default_rng(0).standard_normal((4, 2))
    errors = RowErrors(np.arange(4), np.inf, 1.0, 0)
    np.testing.assert_array_equal(errors.weigh(values), values)


def test_drawn_errors_have_that_covariance() -> None:
    count = 40_000
    errors = RowErrors(CONFIG, np.inf, 0.3, 10**6)  # so many pairs that the part is known
    drawn = errors.draw(count, np.random.default_rng(1))
    # The sd of a covariance of unit normals is at most sqrt(2 / count).
    np.testing.assert_allclose(np.cov(drawn), dense(CONFIG, 0.3), atol=5 * np.sqrt(2 / count))


@pytest.mark.parametrize("dof", [4.0, np.inf])
@pytest.mark.parametrize("within", [0.2, 0.6, 1.0])
def test_the_part_within_is_estimated(within: float, dof: float) -> None:
    config = np.repeat(np.arange(400), 3)
    rng = np.random.default_rng(2)
    error = RowErrors(config, dof, within, 10**9).draw(1, rng)[:, 0]
    found = row_errors(make_window(error, config=config, dof=dof))
    assert found.pairs == 800
    # 0.37 of the pairs' information about a variance: sd sqrt(2 / 300); shared tails add some.
    assert found.within == pytest.approx(within, rel=4 * np.sqrt(2 / 300))


def test_neither_a_drift_nor_outliers_reach_the_estimate() -> None:
    config = np.tile(np.arange(50), 20)  # repeats come round again, in time
    error = RowErrors(config, np.inf, 0.4, 10**9).draw(1, np.random.default_rng(3))[:, 0]
    before = row_errors(make_window(error, config=config)).within
    error[500:] += 10.0  # a step of ten times the noise, in one of twenty differences
    error[::100] += 100.0
    assert row_errors(make_window(error, config=config)).within == pytest.approx(before, rel=0.25)
