"""Holm's adjustment, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from bayeslat.evaluation.holm import adjust_holm


def test_each_counts_as_often_as_tests_are_left() -> None:
    """By hand: 4 x 0.01, then 3 x 0.02, then 2 x 0.025 raised to what came before, then 0.3."""
    adjusted = adjust_holm([0.3, 0.01, 0.025, 0.02])
    np.testing.assert_allclose(adjusted, [0.3, 0.04, 0.06, 0.06])
    assert adjust_holm([0.9, 0.8]).tolist() == [1.0, 1.0]
    assert adjust_holm([]).size == 0


def test_none_is_smaller_than_those_before_it() -> None:
    assert adjust_holm([0.04, 0.01, 0.03, 0.005]) == pytest.approx([0.06, 0.03, 0.06, 0.02])
