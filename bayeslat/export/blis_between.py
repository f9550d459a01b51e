"""The time between the steps of a server, in which BLIS starts the next one at once."""

from __future__ import annotations

import pandas as pd

from bayeslat.errors import InputError

__all__ = ["time_between_us"]

_STEP = "t_step_ms"
_INTERVAL = "step_interval_ms"


def time_between_us(traces: pd.DataFrame, gpu: str, stack: str) -> float:
    """Return the median time from the end of a step to the start of the next.

    Parameters
    ----------
    traces : DataFrame, one row a measurement
        Of the vLLM logger: `step_interval_ms` runs from the end of a step to the end of the next,
        and is missing where the server was idle.
    gpu : str
        Key.
    stack : str

    Returns
    -------
    float
        In us; 0 at least.

    Raises
    ------
    InputError
        If no row of this GPU and stack has both times.
    """
    own = traces[(traces["gpu"] == gpu) & (traces.get("stack") == stack)]
    between = own.reindex(columns=[_INTERVAL, _STEP]).dropna()
    if between.empty:
        raise InputError(
            f"no row of {gpu} with stack {stack!r} has both {_INTERVAL} and {_STEP}, which tell "
            "the time between steps; give traces of the vLLM logger"
        )
    return max(0.0, 1000.0 * float((between[_INTERVAL] - between[_STEP]).median()))
