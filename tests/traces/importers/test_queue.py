"""The queue that requests met."""

from __future__ import annotations

import numpy as np

from bayeslat.traces.importers.queue import find_queue, order_bursts


def test_a_request_meets_those_that_came_and_were_not_yet_scheduled() -> None:
    """The third waits behind the second; the fourth, later, behind none; in any order."""
    queued = np.array([9.0, 0.0, 1.5, 1.0])
    scheduled = np.array([9.5, 0.5, 3.0, 2.0])
    requests, tokens = find_queue(queued, scheduled, np.array([400.0, 100.0, 300.0, 200.0]))
    assert requests.tolist() == [0, 0, 1, 0]
    assert tokens.tolist() == [0, 0, 200, 0]


def test_one_that_does_not_wait_is_not_ahead_of_itself() -> None:
    """By a clock that ticks in seconds, as many are scheduled when they come."""
    queued = np.array([0.0, 5.0, 5.0, 6.0])
    scheduled = np.array([0.0, 5.0, 8.0, 6.0])
    requests, tokens = find_queue(queued, scheduled, np.array([100.0, 200.0, 300.0, 400.0]))
    assert requests.tolist() == [0, 0, 0, 1]
    assert tokens.tolist() == [0, 0, 0, 300]


def test_a_prompt_of_unknown_length_leaves_the_others_as_they_are() -> None:
    queued, scheduled = np.array([0.0, 1.0, 1.5, 2.0]), np.array([0.5, 9.0, 9.0, 9.0])
    _, tokens = find_queue(queued, scheduled, np.array([np.nan, 200.0, np.nan, 400.0]))
    assert tokens.tolist() == [0, 0, 200, 200]


def test_a_burst_is_put_in_the_order_in_which_the_engine_took_it_in() -> None:
    """By a clock that is some ms off: two are scheduled at once, then one after another.

    How long each waited has no say in it: an engine may pass over one that is not ready.
    """
    truth = 1.8e9 + 1e-5 * np.arange(6)
    scheduled = 1.8e9 + np.array([0.0002, 0.0002, 0.9, 0.4, 0.4, 1.7])
    told = truth + np.array([0.004, 0.001, 0.006, 0.0, 0.002, 0.0005])
    before, after = 1.8e9 - 3.0, 1.8e9 + 1.0  # the latter meets the one that still waits
    queued, scheduled = order_bursts(
        np.array([after, *told, before]),
        np.array([after, *(truth - 0.002), before]),
        np.array([0.01, *(scheduled - truth), 0.01]),
        np.array([40, *[17] * 6, 2]),
    )
    waiting, tokens = find_queue(queued, scheduled, np.array([7, 1, 10, 100, 1000, 1e4, 1e5, 0]))
    assert waiting.tolist() == [1, 0, 1, 2, 3, 4, 5, 0]
    assert tokens.tolist() == [1e5, 0, 1, 11, 111, 1111, 11111, 0]


def test_what_is_not_known_to_be_a_burst_stays_in_its_order() -> None:
    queued = np.array([3.0, 1.0, 2.0, np.nan])
    waits = np.array([0.5, 5.0, 2.0, 1.0])
    unknown = np.full(4, np.nan)
    ordered, scheduled = order_bursts(queued, unknown, waits, np.array([-2, -3, -4, -5]))
    assert ordered[:3].tolist() == [2.0, 0.0, 1.0]
    assert scheduled[:3].tolist() == [2.5, 5.0, 3.0]
    far = order_bursts(queued[:3], unknown[:3], waits[:3], np.zeros(3, dtype=int))[0]
    assert far.tolist() == [2.0, 0.0, 1.0]
    none = np.zeros(0)
    assert order_bursts(none, none, none, none.astype(int))[0].size == 0
