"""Many tests in one call: how often any of them is false."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["adjust_holm"]


def adjust_holm(p_values: ArrayLike) -> NDArray[np.float64]:
    """Adjust p-values so that any is below a with probability a at most, where all nulls hold.

    Holm (1979), A simple sequentially rejective multiple test procedure; whatever the dependence.

    Parameters
    ----------
    p_values : array_like, shape (test,)

    Returns
    -------
    ndarray, shape (test,)
        In the order of `p_values`.

    Examples
    --------
    >>> adjust_holm([0.01, 0.2, 0.03]).round(4).tolist()
    [0.03, 0.2, 0.06]
    """
    p = np.asarray(p_values, dtype=float)
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(stepped, 1.0)
    return adjusted
