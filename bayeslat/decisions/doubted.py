"""Configurations of whose own measurements nothing was believed."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayeslat.decisions.config_keys import config_keys
from bayeslat.inference.gross_errors import repeats_of
from bayeslat.inference.posterior import PosteriorData
from bayeslat.inference.repeats import number_configs
from bayeslat.inference.target import Target

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
        target.rows[_stands_alone(data, target)]
        for (key, name), target in data.targets.items()
        if key == gpu and stack in (None, name)
    ]
    keys = pd.concat([config_keys(data, rows) for rows in found] or [data.reference.head(0)])
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
    keys = config_keys(data, data.spec.complete(configs))
    labels = number_configs(pd.concat([keys, doubted], ignore_index=True))
    return np.isin(labels[: len(keys)], labels[len(keys) :])


def _stands_alone(data: PosteriorData, target: Target) -> NDArray[np.bool_]:
    """Whether a row was set aside, and every other run of its configuration. Shape (row,)."""
    alone = np.zeros(len(target.rows), dtype=bool)
    for stage in target.stages:
        for row, said in repeats_of(data, target, stage).items():
            alone[row] |= said != "sound"
    return alone
