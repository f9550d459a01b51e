"""Configurations of whose own measurements nothing was believed."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayeslat.inference.posteriors.gross_errors import stands_alone
from bayeslat.inference.posteriors.posterior import PosteriorData
from bayeslat.inference.posteriors.target_rows import as_held
from bayeslat.inference.rows.repeats import are_among

__all__ = ["doubted_configs", "is_doubted"]


def doubted_configs(data: PosteriorData, gpu: str, stack: str | None) -> pd.DataFrame:
    """List the configurations of a calibrated GPU that a row was set aside of, and no run spared.

    The others say that such a latency is impossible, and the configuration itself says that it is
    not: which is right, a further measurement tells.

    Parameters
    ----------
    data : PosteriorData
    gpu : str
        Key.
    stack : str or None
        All by default.

    Returns
    -------
    DataFrame, one row a config
        Knobs and task, each once.
    """
    found = [
        target.rows[stands_alone(data, target)]
        for (key, name), target in data.targets.items()
        if key == gpu and stack in (None, name)
    ]
    keys = pd.concat([as_held(rows, data.reference) for rows in found] or [data.reference.head(0)])
    return keys.drop_duplicates(ignore_index=True)


def is_doubted(
    data: PosteriorData, gpu: str, stack: str | None, configs: pd.DataFrame
) -> NDArray[np.bool_]:
    """Tell which configurations are among those. Shape (config,).

    Parameters
    ----------
    data, gpu, stack
        As `doubted_configs` takes them.
    configs : DataFrame, one row a config
    """
    doubted = doubted_configs(data, gpu, stack)
    if doubted.empty:
        return np.zeros(len(configs), dtype=bool)
    keys = as_held(data.spec.complete(configs), data.reference)
    return are_among(keys, doubted)
