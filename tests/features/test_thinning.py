from __future__ import annotations

import numpy as np
import pytest

from bayeslat.features.thinning import evenly


@pytest.mark.parametrize(("count", "most"), [(1, 1), (7, 7), (7, 20), (512, 512)])
def test_few_are_all_kept(count: int, most: int) -> None:
    np.testing.assert_array_equal(evenly(count, most), np.arange(count))


@pytest.mark.parametrize(("count", "most"), [(8, 7), (100, 7), (513, 512), (10**6, 2000)])
def test_of_many_the_first_the_last_and_evenly_between(count: int, most: int) -> None:
    kept = evenly(count, most)
    assert len(kept) == most
    assert kept[0] == 0
    assert kept[-1] == count - 1
    steps = np.diff(kept)
    assert steps.min() >= 1  # none twice
    assert steps.max() - steps.min() <= 1
    places = np.arange(most) * (count - 1) / (most - 1)
    assert np.abs(kept - places).max() <= 0.5 + 1e-9


def test_of_none_none() -> None:
    assert evenly(0, 5).shape == (0,)


def test_one_of_many_is_the_first() -> None:
    np.testing.assert_array_equal(evenly(9, 1), [0])
