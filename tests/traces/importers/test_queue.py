"""The queue that requests met."""

from __future__ import annotations

import numpy as np

from bayeslat.traces.importers.queue import find_queue


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
