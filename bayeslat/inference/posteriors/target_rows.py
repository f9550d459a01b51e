"""The rows that a GPU was calibrated with, as a posterior holds them."""

from __future__ import annotations

from collections.abc import Hashable, Iterable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayeslat.features.tasks import task_names
from bayeslat.inference.posteriors.known_latencies import hash_latencies
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
    data: PosteriorData, group: tuple[str, str], later: pd.DataFrame
) -> tuple[pd.DataFrame, NDArray[np.bool_]]:
    """Append rows to those that a group was calibrated with, but for latencies that are known.

    Known are those of the fit, if it was one of rows, and of earlier calibrations. A row was read
    twice if all of its latencies are known, but for those of stages that an earlier reading of it
    did not hold: two waits of nearly nothing are often equal to the last digit that is written.

    Parameters
    ----------
    data : PosteriorData
    group : (gpu, stack)
    later : DataFrame, one row a measurement
        Held ones.

    Returns
    -------
    rows : DataFrame, one row a measurement
    kept : ndarray of bool, shape (row,)
        Which of the later ones bring any latency.
    """
    target, knobs = data.targets.get(group), list(data.reference)
    earlier = later.head(0) if target is None or target.rows.empty else target.rows
    columns = {stage: part.column for stage, part in data.spec.stages.items()}
    given = {name: hash_latencies(later, name, knobs, group) for name in columns.values()}

    def is_known(name: str, among: pd.DataFrame) -> NDArray[np.bool_]:
        held = hash_latencies(among[among[name].notna()], name, knobs, group)
        return np.isin(given[name], held)

    known = {name: is_known(name, earlier) for name in columns.values()}
    for stage, fitted in data.fitted_latencies.items():
        known[columns[stage]] |= np.isin(given[columns[stage]], fitted)
    fresh = {}
    for name in columns.values():
        again = known[name]
        for other in columns.values():
            absent = is_known(name, earlier[earlier[other].isna()])
            again = again & (known[other] | later[other].isna() | absent)
        fresh[name] = later[name].mask(again)
    later = later.assign(**fresh)
    kept = later[list(fresh)].notna().any(axis=1).to_numpy()
    return pd.concat([earlier, later[kept]], ignore_index=True), kept
