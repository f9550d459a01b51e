"""The queue that each request met, from when all of them were queued and scheduled."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["find_queue"]


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
