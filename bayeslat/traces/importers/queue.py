"""The queue that each request met, from when all of them were queued and scheduled."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["find_queue", "order_bursts"]

_BURST_S = 0.1  # an engine that waits for work takes no longer to begin
_NEXT_S = 1e-9


def find_queue(
    queued_s: NDArray[np.float64],
    scheduled_s: NDArray[np.float64],
    prompt_tokens: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the requests before each in the queue, and the tokens of their prompts.

    The state that the last step left does not count those that came since, such as the others of a
    burst.

    Parameters
    ----------
    queued_s, scheduled_s : ndarray, shape (row,)
        On one clock; of all requests of an engine.
    prompt_tokens : ndarray, shape (row,)
        NaN where it is not known: such a prompt counts as empty.

    Returns
    -------
    requests, tokens : ndarray, shape (row,)
    """
    # One that does not wait is scheduled after it came, and not before: it is not ahead of itself.
    scheduled_s = np.maximum(scheduled_s, np.nextafter(queued_s, np.inf))
    by_queued, by_scheduled = np.argsort(queued_s), np.argsort(scheduled_s)
    came = np.searchsorted(queued_s[by_queued], queued_s, side="left")
    went = np.searchsorted(scheduled_s[by_scheduled], queued_s, side="right")
    known = np.nan_to_num(prompt_tokens)
    came_tokens = np.concatenate([[0.0], np.cumsum(known[by_queued])])
    went_tokens = np.concatenate([[0.0], np.cumsum(known[by_scheduled])])
    tokens = came_tokens[came] - went_tokens[went]
    return (came - went).astype(np.float64), np.maximum(tokens, 0.0)


def order_bursts(
    queued_s: NDArray[np.float64],
    arrived_s: NDArray[np.float64],
    waits_s: NDArray[np.float64],
    gaps: NDArray[np.int64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return when requests were queued and scheduled, those of a burst in the order they came in.

    When a request was queued is counted back from when its end reached the server, and the messages
    take longer on a busy server, by more than lies between the requests of a burst. But an engine
    takes a burst in at once, between two steps, in the order in which its requests arrived.

    Parameters
    ----------
    queued_s : ndarray, shape (row,)
        By a clock that is good to a fraction of a step.
    arrived_s : ndarray, shape (row,)
        At the server, by a clock that tells the requests of a burst apart; NaN where not known.
    waits_s : ndarray, shape (row,)
        From when each was queued until it was scheduled.
    gaps : ndarray of int, shape (row,)
        Between which two steps each was queued; a number of its own where that is not known.

    Returns
    -------
    queued_s, scheduled_s : ndarray, shape (row,)
        From the first on; of a burst the times of its first, a nanosecond apart.
    """
    if not queued_s.size:
        return queued_s, queued_s
    since_s = queued_s - np.nanmin(queued_s) if np.isfinite(queued_s).any() else queued_s
    order = np.lexsort((since_s, gaps))
    begins = _changes(gaps[order], 0) | _changes(since_s[order], _BURST_S)
    burst = np.cumsum(begins) - 1
    first_s = since_s[order][begins][burst]
    came_s = np.where(np.isnan(arrived_s), queued_s, arrived_s)
    by_arrival = np.lexsort((came_s[order], burst))
    order, burst, first_s = order[by_arrival], burst[by_arrival], first_s[by_arrival]
    places = np.arange(order.size) - np.searchsorted(burst, burst)
    queued, scheduled = np.empty((2, order.size))
    queued[order] = first_s + _NEXT_S * places
    least_s = _NEXT_S * np.bincount(burst)[burst]  # all are queued before one is scheduled
    scheduled[order] = first_s + np.maximum(waits_s[order], least_s)
    return queued, scheduled


def _changes(values: NDArray[np.float64] | NDArray[np.int64], by: float) -> NDArray[np.bool_]:
    """Return where values grow by more than so much, and at the first. Shape (row,)."""
    return np.concatenate([[True], ~(np.diff(values) <= by)])
