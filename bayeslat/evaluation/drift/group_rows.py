"""The rows of each group that the posterior holds, in order of time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from bayeslat.inference.posteriors.posterior import PosteriorData
from bayeslat.model.groups import name_group
from bayeslat.traces.names import COLLECTED_AT
from bayeslat.traces.row_stacks import row_stacks
from bayeslat.traces.times import read_times, tell_times

__all__ = ["GroupRows", "group_rows"]


@dataclass(frozen=True, eq=False)
class GroupRows:
    """What a trace holds of a GPU with a stack.

    Attributes
    ----------
    gpu, stack : str
    frame : DataFrame, one row a measurement
        In order of time, if all of them tell theirs.
    times : sequence of str, shape (row,), or None
        When they were collected; None where one of them does not tell: they count as they stand.
    doubt : str
        What is wrong with their times; empty where nothing is.
    """

    gpu: str
    stack: str
    frame: pd.DataFrame
    times: Sequence[str] | None
    doubt: str


def group_rows(
    data: PosteriorData, rows: pd.DataFrame, admitted: pd.DataFrame, stack: str | None
) -> tuple[tuple[GroupRows, ...], tuple[str, ...]]:
    """Split a trace into groups.

    Parameters
    ----------
    data : PosteriorData
    rows : DataFrame, one row a measurement
        As they were read.
    admitted : DataFrame, one row a measurement
        The same, admitted.
    stack : str or None
        That of all rows, whatever they name. By default rows that name none are of the GPU's own
        like them.

    Returns
    -------
    known : tuple of GroupRows
        In the order of the posterior, whatever that of the rows.
    unknown : tuple of str
        Names of the groups that the posterior does not hold.
    """
    gpus = admitted["gpu"]
    own = {gpu: data.unnamed_stack(gpu) or "" for gpu in gpus.unique()}
    stacks = row_stacks(admitted, own) if stack is None else pd.Series(stack, gpus.index)
    met = dict.fromkeys(zip(gpus, stacks, strict=True))
    held = dict.fromkeys([*data.groups, *data.targets])
    known = [group for group in held if group in met and data.is_measured(*group)]
    groups = []
    for key, name in known:
        among = np.flatnonzero((gpus == key) & (stacks == name))
        frame, times = _in_order(admitted.iloc[among])
        groups.append(GroupRows(key, name, frame, times, tell_times(rows, among)))
    return tuple(groups), tuple(name_group(*group) for group in met if group not in known)


def _in_order(frame: pd.DataFrame) -> tuple[pd.DataFrame, list[str] | None]:
    """Put rows in order of time, if all of them tell theirs, and tell the times."""
    if COLLECTED_AT not in frame:
        return frame.reset_index(drop=True), None
    times = read_times(frame[COLLECTED_AT])
    if times.isna().any():
        return frame.reset_index(drop=True), None
    ordered = frame.iloc[np.argsort(times.to_numpy(), kind="stable")].reset_index(drop=True)
    return ordered, ordered[COLLECTED_AT].astype(str).tolist()
