"""The load that a request met, from when the requests of its run were sent and ended."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Load", "count_load"]


@dataclass(frozen=True, slots=True)
class Load:
    """What each request of a run met when it was sent.

    Attributes
    ----------
    arrived_s : ndarray of float, shape (row,)
        When it was sent, from the first one on; NaN where nobody knows.
    in_flight : ndarray of float, shape (row,)
        Requests that were sent before it and had not ended; NaN where nobody knows.
    prompt_tokens : ndarray of float, shape (row,)
        Tokens of their prompts; NaN where one of the run's is not known.
    """

    arrived_s: NDArray[np.float64]
    in_flight: NDArray[np.float64]
    prompt_tokens: NDArray[np.float64]


def count_load(
    start_s: NDArray[np.float64], end_s: NDArray[np.float64], prompt_tokens: NDArray[np.float64]
) -> Load:
    """Count the requests in flight at each request's start.

    Parameters
    ----------
    start_s, end_s : ndarray of float, shape (row,)
        Of all requests of one run, on one clock; NaN where nobody knows. A request that has no
        end, or ended when it started, is no load.
    prompt_tokens : ndarray of float, shape (row,)
        NaN where nobody knows.

    Returns
    -------
    Load
    """
    known = np.isfinite(start_s)
    if not known.any():
        nothing = np.full(len(start_s), np.nan)
        return Load(nothing, nothing, nothing)
    lasts = known & (end_s > start_s)
    begins, ends = np.argsort(start_s[lasts]), np.argsort(end_s[lasts])
    tokens = prompt_tokens[lasts]
    begun = np.searchsorted(start_s[lasts][begins], start_s, side="left")
    ended = np.searchsorted(end_s[lasts][ends], start_s, side="right")
    sent = np.concatenate([[0.0], np.cumsum(tokens[begins])])
    done = np.concatenate([[0.0], np.cumsum(tokens[ends])])
    return Load(
        np.where(known, start_s - start_s[known].min(), np.nan),
        np.where(known, begun - ended, np.nan),
        np.where(known & np.isfinite(sent[-1]), sent[begun] - done[ended], np.nan),
    )
