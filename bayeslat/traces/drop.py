"""Taking out the rows that break a rule."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayeslat.errors import TraceError
from bayeslat.traces.cells import plain
from bayeslat.traces.names import COLLECTED_AT, GPU, STACK, TASK
from bayeslat.traces.violations import Violation, locate, report

__all__ = ["drop_invalid"]


def drop_invalid(
    frame: pd.DataFrame, violations: Sequence[Violation], *, some: bool = True
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Split a frame into the rows that keep every rule and those that break one.

    Parameters
    ----------
    frame : DataFrame
        The checked frame.
    violations : sequence of Violation
        What was found in it.
    some : bool
        Whether a row has to be left.

    Returns
    -------
    kept, dropped : DataFrame
        In the order of `frame`, with its index labels and `attrs`. Where text kept a column of
        `kept` from being numbers and is gone, the column is numbers now.

    Raises
    ------
    TraceError
        A whole file or column breaks a rule; or no row is left, and one has to be.
    """
    whole = tuple(violation for violation in violations if not violation.rows)
    if whole:
        raise TraceError(f"dropping rows cannot cure this:\n{report(whole)}", tuple(violations))
    broken = _broken(frame, violations)
    kept, dropped = frame[~broken].copy(), frame[broken].copy()
    if some and kept.empty and not frame.empty:
        raise TraceError(f"no row is left:\n{report(violations)}", tuple(violations))
    texts = {GPU, STACK, TASK, COLLECTED_AT}
    for column in dict.fromkeys(violation.column for violation in violations):
        if column is not None and column not in texts and column in kept.columns:
            kept[column] = _as_numbers(kept[column])
    return kept, dropped


def _broken(frame: pd.DataFrame, violations: Sequence[Violation]) -> NDArray[np.bool_]:
    """Return where a row of the frame is among the violations, shape (row,)."""
    location = locate(frame)
    broken = np.zeros(len(frame), dtype=bool)
    for index, file in enumerate(location.files):
        rows = [row for violation in violations if violation.file == file for row in violation.rows]
        broken |= (location.file_index == index) & np.isin(location.rows, rows)
    return broken


def _as_numbers(column: pd.Series) -> pd.Series:
    """Return a column of text as numbers, if every cell is one; otherwise as it is."""
    if pd.api.types.is_numeric_dtype(column.dtype):
        return column
    numbers: pd.Series = pd.to_numeric(plain(column), errors="coerce")
    return numbers if bool((numbers.notna() == column.notna()).all()) else column
