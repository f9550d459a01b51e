from __future__ import annotations

import numpy as np
import pytest

from bayeslat.model.statistics import Statistics, stack_statistics, summarise


@pytest.fixture
def rows() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(7)
    return rng.standard_normal((50, 3)), rng.standard_normal(50)


def same(left: Statistics, right: Statistics) -> None:
    for name in ("gram", "moment", "square", "rows"):
        np.testing.assert_allclose(getattr(left, name), getattr(right, name), rtol=1e-12)


def test_they_hold_the_squared_error_of_any_effect(rows) -> None:  # type: ignore[no-untyped-def]
    design, response = rows
    kept = summarise(design, response)
    for effect in np.random.default_rng(8).standard_normal((5, 3)):
        error = kept.square[0] - 2 * effect @ kept.moment[0] + effect @ kept.gram[0] @ effect
        assert error == pytest.approx(np.sum((response - design @ effect) ** 2))
    assert kept.rows.tolist() == [50.0]


def test_they_add_up_over_rows(rows) -> None:  # type: ignore[no-untyped-def]
    design, response = rows
    parts = summarise(design[:13], response[:13]) + summarise(design[13:], response[13:])
    same(parts, summarise(design, response))


def test_groups_stand_side_by_side_in_order(rows) -> None:  # type: ignore[no-untyped-def]
    design, response = rows
    parts = [summarise(design[:4], response[:4]), summarise(design[4:], response[4:])]
    both = stack_statistics(parts)
    assert both.gram.shape == (2, 3, 3)
    assert both.rows.tolist() == [4.0, 46.0]
    np.testing.assert_array_equal(both.moment, [part.moment[0] for part in parts])


def test_no_rows_say_nothing() -> None:
    none = summarise(np.empty((0, 2)), np.empty(0))
    assert none.rows.tolist() == [0.0]
    assert not none.gram.any()
    assert none.square.tolist() == [0.0]


def test_rows_of_a_group_count_for_at_most_so_many(rows) -> None:  # type: ignore[no-untyped-def]
    """As rows of less weight would."""
    design, response = rows
    both = stack_statistics(
        [summarise(design[:40], response[:40]), summarise(design[40:], response[40:])]
    )
    light = summarise(design[:40], response[:40], np.full(40, 0.5))
    same(both.counted(20.0), stack_statistics([light, summarise(design[40:], response[40:])]))
    assert both.counted(40.0) is both


def test_rounding_adds_its_variance_to_the_square_of_each_row(rows) -> None:  # type: ignore[no-untyped-def]
    """Of an error at right angles to the design, of that length."""
    design, response = rows
    error = np.linalg.qr(np.column_stack([design, response, np.ones(50)]))[0][:, -1]
    off = summarise(design, response + np.sqrt(50) * 0.1 * error)
    same(summarise(design, response).rounded(0.1), off)
