"""What tools that measure as a client have in common."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["FASTEST_TOKEN_MS", "per_token", "typical_ratio"]

type Numbers = NDArray[np.float64]

FASTEST_TOKEN_MS = 0.05  # of one request, no server makes 20 000 a second


def per_token(span: Numbers, output_tokens: Numbers) -> Numbers:
    """Share the time from the first token to the end among the tokens after the first.

    Parameters
    ----------
    span : ndarray, shape (request,)
    output_tokens : ndarray, shape (request,)

    Returns
    -------
    ndarray, shape (request,)
        In the unit of the span; NaN where there are no such tokens.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        found: Numbers = np.where(output_tokens > 1, span / (output_tokens - 1), np.nan)
    return found


def typical_ratio(found: Numbers, stated: Numbers) -> float:
    """Return how many times what is stated is found, by the middle request; 1 where nothing is.

    Parameters
    ----------
    found, stated : ndarray, shape (request,)
        The same time, computed in two ways.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = found / stated
    ratio = ratio[np.isfinite(ratio) & (ratio > 0)]
    return float(np.median(ratio)) if len(ratio) else 1.0
