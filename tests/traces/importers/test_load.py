"""What a request met, against counting one by one."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bayeslat.traces.importers.load import count_load

TIMES = st.lists(
    st.tuples(st.integers(0, 20), st.integers(-1, 10), st.integers(0, 100)), min_size=1, max_size=12
)


@given(requests=TIMES)
def test_load_is_what_one_would_count(requests: list[tuple[int, int, int]]) -> None:
    start, lasts, tokens = (np.array(each, dtype=float) for each in zip(*requests, strict=True))
    end = start + lasts
    load = count_load(start, end, tokens)
    met = (start < start[:, None]) & (end > start[:, None]) & (end > start)
    np.testing.assert_array_equal(load.in_flight, met.sum(axis=1))
    np.testing.assert_array_equal(load.prompt_tokens, met @ tokens)
    np.testing.assert_array_equal(load.arrived_s, start - start.min())


def test_what_is_not_known_is_missing() -> None:
    load = count_load(
        np.array([1.0, np.nan, 2.0]), np.array([5.0, 4.0, np.nan]), np.array([7.0, 8.0, 9.0])
    )
    np.testing.assert_array_equal(load.in_flight, [0, np.nan, 1])
    np.testing.assert_array_equal(load.prompt_tokens, [0, np.nan, 7])
    nothing = np.full(2, np.nan)
    assert np.isnan(count_load(nothing, nothing, nothing).in_flight).all()
    unknown = count_load(np.array([1.0, 2.0]), np.array([3.0, 4.0]), np.array([np.nan, 5.0]))
    np.testing.assert_array_equal(unknown.in_flight, [0, 1])
    assert np.isnan(unknown.prompt_tokens).all()
