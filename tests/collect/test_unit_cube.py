from __future__ import annotations

import numpy as np
import pytest

from bayeslat.collect.unit_cube import hypercube_points, sobol_points


@pytest.mark.parametrize("n", [1, 7, 100])
def test_each_part_of_each_side_holds_a_point(n: int) -> None:
    cubes = hypercube_points(3, n, seed=0)
    first, second = next(cubes), next(cubes)
    for points in (first, second):
        assert points.shape == (n, 3)
        for column in points.T:
            assert sorted(np.floor(column * n)) == list(range(n))
    assert not np.array_equal(first, second)


def test_random_points_are_no_hypercube() -> None:
    column = np.random.default_rng(0).random(100)
    assert sorted(np.floor(column * 100)) != list(range(100))


def test_any_power_of_two_of_sobol_points_lies_evenly() -> None:
    pytest.importorskip("torch", reason="torch (extra 'collect') is not installed")
    stream = sobol_points(4, seed=5)
    points = np.concatenate([next(stream), next(stream)])
    assert ((points >= 0) & (points < 1)).all()
    for n in (8, 64, 512):
        for column in points[:n].T:
            assert sorted(np.floor(column * n)) == list(range(n))
