"""How far runs of one configuration are apart: the error that no prediction can avoid."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayeslat.evaluation.metrics import mape
from bayeslat.inference.rows.repeats import number_configs

__all__ = ["run_to_run_error"]


def run_to_run_error(configs: pd.DataFrame, ms: NDArray[np.float64]) -> float:
    """MAPE of each configuration's runs against the median of its others.

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
    runs = pd.Series(ms[held]).groupby(number_configs(configs[held]))
    errors = [_leave_one_out(np.asarray(each, dtype=float)) for _, each in runs if len(each) > 1]
    return float(np.mean(errors)) if errors else float("nan")


def _leave_one_out(ms: NDArray[np.float64]) -> float:
    """MAPE of each run against the median of the others."""
    others = [np.median(np.delete(ms, at)) for at in range(len(ms))]
    return mape(ms, np.asarray(others, dtype=np.float64))
