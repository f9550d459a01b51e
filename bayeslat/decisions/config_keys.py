"""What tells configurations apart, in the types of a calibration's rows."""

from __future__ import annotations

import pandas as pd

from bayeslat.features.tasks import task_names
from bayeslat.inference.posterior import PosteriorData
from bayeslat.traces.names import TASK

__all__ = ["config_keys"]


def config_keys(data: PosteriorData, configs: pd.DataFrame) -> pd.DataFrame:
    """Return the knobs and the task of configurations, as the rows of a calibration hold them.

    Parameters
    ----------
    data : PosteriorData
    configs : DataFrame, one row a config
        With all knobs.

    Returns
    -------
    DataFrame, one row a config
    """
    held = {
        name: task_names(configs[name].tolist() if name in configs else None, len(configs))
        if name == TASK
        else configs[name].to_numpy(dtype=float)
        for name in data.reference.columns
    }
    return pd.DataFrame(held)
