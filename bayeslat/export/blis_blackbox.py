"""Coefficients of the backend `blackbox` of BLIS up to v0.7.10."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import nnls

__all__ = ["BLACKBOX_BASES", "blackbox_columns", "fit_blackbox"]

BLACKBOX_BASES = ("per_step", "per_prefill_token", "per_decode_token")
"""In the order of BLIS's list."""


def fit_blackbox(batches: pd.DataFrame, step_us: NDArray[np.float64]) -> NDArray[np.float64]:
    """Fit a time per step, per prompt token and per generated token.

    Non-negative least squares of relative errors: a refit, since these coefficients stand for
    arithmetic and memory traffic that `trained-physics` tells apart.

    Parameters
    ----------
    batches : DataFrame, one row a batch
    step_us : ndarray, shape (batch,)

    Returns
    -------
    ndarray, shape (3,)
        In microseconds.
    """
    design = blackbox_columns(batches)
    found: NDArray[np.float64] = nnls(design / step_us[:, None], np.ones(len(step_us)))[0]
    return found


def blackbox_columns(batches: pd.DataFrame) -> NDArray[np.float64]:
    """Return what the coefficients multiply, in the order of `BLACKBOX_BASES`. Shape (batch, 3).

    Parameters
    ----------
    batches : DataFrame, one row a batch
    """
    tokens = batches[["prefill_tokens", "decode_requests"]].to_numpy(dtype=float)
    return np.column_stack([np.ones(len(batches)), tokens])
