"""Latencies that a posterior holds already: a measurement that is given again counts once."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

__all__ = ["hash_latencies"]


def hash_latencies(
    rows: pd.DataFrame, column: str, knobs: Sequence[Hashable], group: tuple[str, str]
) -> NDArray[np.uint64]:
    """Return a number a row that tells its latency from all others, to the last bit.

    Parameters
    ----------
    rows : DataFrame, one row a measurement
        Held ones.
    column : str
        Of the latency.
    knobs : sequence of str
        What tells configs apart, the task among them.
    group : (gpu, stack)

    Returns
    -------
    ndarray, shape (row,)
    """
    gpu, stack = group
    keyed = rows[[*knobs, column]].assign(gpu=gpu, stack=stack)
    return np.asarray(pd.util.hash_pandas_object(keyed, index=False), dtype=np.uint64)
