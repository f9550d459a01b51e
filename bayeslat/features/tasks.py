"""Names of tasks: the optional category of a row."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

__all__ = ["NO_TASK", "task_names"]

NO_TASK = ""
"""Stands for the task of a row that names none."""


def task_names(task: Sequence[object] | None, rows: int) -> NDArray[np.object_]:
    """Name the task of each row.

    Parameters
    ----------
    task : sequence, shape (row,), or None
        Names, with None, NaN, NA or spaces where there is none; None without a column.
    rows : int

    Returns
    -------
    ndarray of str, shape (row,)
    """
    names = np.full(rows, NO_TASK, dtype=object)
    if task is not None:
        names[:] = [_name(each) for each in task]
    return names


def _name(task: object) -> str:
    return NO_TASK if pd.isna(task) else str(task).strip()  # type: ignore[call-overload]
