"""The rows that a GPU was calibrated with, as a posterior holds them."""

from __future__ import annotations

from collections.abc import Hashable, Iterable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayeslat.features.tasks import task_names
from bayeslat.inference.posteriors.posterior import PosteriorData
from bayeslat.traces.names import TASK

__all__ = ["as_held", "join_held"]


def as_held(rows: pd.DataFrame, columns: Iterable[Hashable]) -> pd.DataFrame:
    """Return columns of rows in the types of held ones: numbers, and the task by its name.

    Parameters
    ----------
    rows : DataFrame, one row a measurement or config
        Checked.
    columns : iterable of str

    Returns
    -------
    DataFrame, one row a measurement or config
        Index 0, 1, ...; NaN in a column that the rows lack.
    """
    own = rows.reindex(columns=list(columns)).reset_index(drop=True)
    held = {
        name: task_names(column.tolist(), len(own))
        if name == TASK
        else column.to_numpy(dtype=float, na_value=np.nan)
        for name, column in own.items()
    }
    return pd.DataFrame(held, columns=own.columns)


def join_held(
    data: PosteriorData, earlier: pd.DataFrame, later: pd.DataFrame
) -> tuple[pd.DataFrame, NDArray[np.bool_]]:
    """Append rows, but for the latencies that were there before.

    Parameters
    ----------
    data : PosteriorData
    earlier, later : DataFrame, one row a measurement
        Held ones.

    Returns
    -------
    rows : DataFrame, one row a measurement
    kept : ndarray of bool, shape (row,)
        Which of the later ones bring any latency.
    """
    stages = data.spec.latency_columns
    fresh = {}
    for name in stages:
        keys = [*data.reference, name]
        seen = pd.util.hash_pandas_object(earlier.loc[earlier[name].notna(), keys], index=False)
        again = pd.util.hash_pandas_object(later[keys], index=False).isin(seen)
        fresh[name] = later[name].mask(again)
    later = later.assign(**fresh)
    kept = later[stages].notna().any(axis=1).to_numpy()
    return pd.concat([earlier, later[kept]], ignore_index=True), kept
