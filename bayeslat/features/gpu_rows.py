"""The rows of some GPUs, under any of their names."""

from __future__ import annotations

from collections.abc import Collection

import pandas as pd

from bayeslat.errors import InputError
from bayeslat.features.hardware import HardwareTable
from bayeslat.traces.names import GPU

__all__ = ["gpu_rows"]


def gpu_rows(traces: pd.DataFrame, keys: Collection[str], hardware: HardwareTable) -> pd.DataFrame:
    """Take the rows of some GPUs.

    Parameters
    ----------
    traces : DataFrame, one row a measurement
        Not checked.
    keys : collection of str
        Of the GPUs.
    hardware : HardwareTable
        It knows their other names.

    Returns
    -------
    DataFrame, one row a measurement
        The frame itself where it has no rows or no GPUs: which rules it breaks is told where all
        are checked.

    Raises
    ------
    InputError
        If there are rows, but of some of the GPUs none.
    """
    if traces.empty or GPU not in traces:
        return traces
    found = {name: hardware.find(str(name)) for name in traces[GPU].dropna().unique()}
    own = {name: gpu.key for name, gpu in found.items() if gpu is not None and gpu.key in keys}
    if missing := [key for key in keys if key not in own.values()]:
        raise InputError(
            f"no rows of GPU {', '.join(missing)}; the trace holds "
            f"{', '.join(sorted(map(str, found)))}. Choose among those, or add a trace"
        )
    return traces[traces[GPU].isin(own)]
