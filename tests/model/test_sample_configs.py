from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from bayeslat.errors import InputError
from bayeslat.features.knob_range import parse_knob
from bayeslat.model.sample_configs import sample_configs


def test_configs_stay_inside_and_fill_the_range() -> None:
    ranges = [
        parse_knob(t) for t in ("n=1:10", "s=1:1024:log", "x=-1.0:1.0", "k=1,2,4", "task=a,b")
    ]
    configs = sample_configs(ranges, 256, seed=1)
    assert len(configs) == 256
    assert not configs.duplicated().any()
    assert configs["n"].value_counts().between(20, 31).all()  # 25.6 each, evenly
    assert configs["n"].dtype == np.int64
    assert set(configs["k"]) == {1, 2, 4}
    assert configs["task"].value_counts().between(120, 136).all()
    assert abs(np.log2(configs["s"]).median() - 5) < 0.2
    assert abs(configs["x"].mean()) < 0.02


def test_the_seed_decides() -> None:
    ranges = [parse_knob("x=0.0:1.0")]
    pd.testing.assert_frame_equal(sample_configs(ranges, 9, 3), sample_configs(ranges, 9, 3))
    assert not sample_configs(ranges, 9, 3).equals(sample_configs(ranges, 9, 4))


def test_a_small_range_gives_what_it_has() -> None:
    configs = sample_configs([parse_knob("k=1:3")], 8, 0)
    assert len(configs) == 8
    assert set(configs["k"].head(3)) == {1, 2, 3}


def test_every_combination_is_found_before_one_comes_twice() -> None:
    """243 combinations of three values do not lie evenly in any power of two of points."""
    ranges = [parse_knob(f"k{i}=1,2,3") for i in range(5)]
    assert not sample_configs(ranges, 243, 0).duplicated().any()
    more = sample_configs(ranges, 250, 0)
    assert len(more) == 250
    assert not more.head(243).duplicated().any()


@pytest.mark.parametrize("n", [1, 2, 3, 100])
def test_n_need_not_be_a_power_of_two(n: int) -> None:
    configs = sample_configs([parse_knob("x=0.0:1.0"), parse_knob("k=1:9")], n, 0)
    assert len(configs) == n
    assert list(configs.index) == list(range(n))


def test_arguments_that_cannot_be() -> None:
    with pytest.raises(InputError, match="no range of a knob"):
        sample_configs([], 2, 0)
    with pytest.raises(InputError, match="n is 0"):
        sample_configs([parse_knob("k=1:3")], 0, 0)
    with pytest.raises(InputError, match="seed is -1"):
        sample_configs([parse_knob("k=1:3")], 2, -1)
    with pytest.raises(InputError, match="knob k: has two ranges"):
        sample_configs([parse_knob("k=1:3"), parse_knob("k=1:4")], 2, 0)
