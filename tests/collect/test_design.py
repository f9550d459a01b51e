from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bayeslat.collect.design import KnobRange, KnobSpace, sobol_design
from bayeslat.errors import InputError

RANGES = st.builds(
    lambda low, width, log: KnobRange(low, low + width, log),
    st.integers(1, 1000),
    st.integers(0, 1000),
    st.booleans(),
)
UNIT = st.floats(0.0, 1.0, exclude_max=True)


@given(RANGES, UNIT, UNIT)
def test_a_range_rises_from_low_to_high(span: KnobRange, u: float, v: float) -> None:
    first, second = span.at(min(u, v)), span.at(max(u, v))
    assert span.low == span.at(0.0) <= first <= second <= span.at(1.0 - 1e-12) == span.high


@pytest.mark.parametrize(("low", "high"), [(0, 3), (4, 3), (-2, -1)])
def test_a_range_that_falls_or_starts_below_one_is_refused(low: int, high: int) -> None:
    with pytest.raises(InputError, match=f"{low}..{high}"):
        KnobRange(low, high)


def test_a_linear_range_gives_each_value_an_equal_share() -> None:
    values = [KnobRange(3, 6).at(i / 400) for i in range(400)]
    assert [values.count(value) for value in (3, 4, 5, 6)] == [100] * 4


def test_a_log_range_gives_each_octave_an_equal_share() -> None:
    # 1, 2-3, 4-7 are a third each of log 8.
    values = [KnobRange(1, 7, log=True).at(i / 300) for i in range(300)]
    octaves = [values.count(1), sum(v in (2, 3) for v in values), sum(v >= 4 for v in values)]
    assert octaves == pytest.approx([100, 100, 100], abs=1)


def test_a_design_stays_in_its_ranges_and_reaches_their_ends(torch: Any) -> None:
    space = KnobSpace()
    design = sobol_design(space, 128, seed=3)
    for knob in fields(space):
        span = getattr(space, knob.name)
        values = {getattr(config, knob.name) for config in design}
        assert min(values) == span.low
        assert max(values) <= span.high
        assert max(values) >= 0.95 * span.high


def test_a_longer_design_starts_with_the_shorter_one(torch: Any) -> None:
    assert sobol_design(KnobSpace(), 20, seed=1)[:7] == sobol_design(KnobSpace(), 7, seed=1)


def test_seeds_give_different_designs(torch: Any) -> None:
    assert sobol_design(KnobSpace(), 8, seed=1) != sobol_design(KnobSpace(), 8, seed=2)


def test_an_empty_design_is_refused() -> None:
    with pytest.raises(InputError, match="configs = 0"):
        sobol_design(KnobSpace(), 0, seed=0)
