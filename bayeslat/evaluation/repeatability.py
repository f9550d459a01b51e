"""How far runs of one configuration are apart: the error that no prediction can avoid."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayeslat.evaluation.metrics import mape
from bayeslat.inference.repeats import number_configs

__all__ = ["run_to_run_error"]


def run_to_run_error(configs: pd.DataFrame, ms: NDArray[np.float64]) -> float:
    """MAPE of each configuration's first run against the median of its others.

    Parameters
    ----------
    configs : DataFrame, one row a measurement
        What tells configurations apart.
    ms : ndarray, shape (row,)
        Measured latency; NaN does not count.

    Returns
    -------
    float
        A fraction; NaN without repeats.
    """
    held = ~np.isnan(ms)
    table = pd.DataFrame({"config": number_configs(configs[held]), "ms": ms[held]})
    first = ~table["config"].duplicated()
    others = table[~first].groupby("config")["ms"].median()
    compared = table[first].set_index("config")["ms"].reindex(others.index)
    return mape(np.asarray(compared, dtype=np.float64), np.asarray(others, dtype=np.float64))
