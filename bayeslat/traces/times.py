"""When the rows of a trace were collected, and which of them do not tell."""

from __future__ import annotations

from datetime import date, datetime

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayeslat.counted import counted
from bayeslat.traces.cells import blank, plain
from bayeslat.traces.names import COLLECTED_AT
from bayeslat.traces.violations import TABLE, locate

__all__ = ["read_times", "tell_times"]

_OFFSET = r"[T ]\d\d.*?(?:[Zz]|[+-]\d\d(?::?\d\d)?)\s*$"  # only after a time: 2026-11-30 has none
_CURE = "write ISO 8601 with an offset, as 2026-11-30T12:00:00+00:00"
_SHOWN_CHARACTERS = 40


def read_times(column: pd.Series) -> pd.Series:
    """Read when rows were collected.

    Parameters
    ----------
    column : Series
        Text in ISO 8601, or times; any other cells are read as none. Numbers are: whether they
        count seconds or milliseconds, and since when, they do not say.

    Returns
    -------
    Series
        In UTC, NaT where a cell is no time. One without an offset is taken for UTC.
    """
    cells = plain(column)
    if pd.api.types.is_datetime64_any_dtype(cells.dtype):
        return pd.to_datetime(cells, utc=True)
    times = cells.astype(object).where(_dated(cells), None)
    return pd.to_datetime(times, utc=True, errors="coerce", format="ISO8601")


def tell_times(frame: pd.DataFrame, among: NDArray[np.int64] | None = None) -> str:
    """Say which rows keep the times of a trace from being used, or make them doubtful.

    Parameters
    ----------
    frame : DataFrame, one row a measurement
        As it was read: rows are named by file.
    among : ndarray of int, shape (row,), optional
        Positions of those that are asked about; all by default.

    Returns
    -------
    str
        What is wrong with `collected_at`, the first such row, what follows and what to write;
        empty where each row tells its time, or there is no such column.
    """
    if COLLECTED_AT not in frame or frame.empty:
        return ""
    places = np.arange(len(frame)) if among is None else among
    column = frame[COLLECTED_AT].iloc[places]
    unread = read_times(column).isna().to_numpy()
    if unread.any():
        return (
            f"{_count(unread)} a {COLLECTED_AT} that {_fault(column, unread)} "
            f"({_first(frame, places[unread][0])}), so that rows count in the order of the table; "
            f"{_CURE}"
        )
    local = _local(column)
    if not local.any() or local.all():
        return ""
    return (
        f"{_count(local)} a {COLLECTED_AT} without an offset "
        f"({_first(frame, places[local][0])}), taken for UTC, while the others have one; {_CURE}"
    )


def _dated(cells: pd.Series) -> NDArray[np.bool_]:
    """Tell which cells may be times: dates, and text that starts with a digit. Shape (row,).

    pandas reads `now` and `today` as well, which say nothing of when a row was collected.
    """
    return np.fromiter(
        (
            cell.lstrip()[:1].isdigit() if isinstance(cell, str) else isinstance(cell, date)
            for cell in cells.to_numpy(dtype=object)
        ),
        dtype=bool,
        count=len(cells),
    )


def _local(column: pd.Series) -> NDArray[np.bool_]:
    """Tell which times have no offset. Shape (row,)."""
    cells = plain(column)
    if pd.api.types.is_datetime64_any_dtype(cells.dtype):  # all of them, or none
        return np.zeros(len(cells), dtype=bool)
    texts = cells.astype(object).astype(str).str.contains(_OFFSET, regex=True).to_numpy(dtype=bool)
    own = (
        isinstance(cell, datetime) and cell.tzinfo is not None
        for cell in cells.to_numpy(dtype=object)
    )
    return ~(texts | np.fromiter(own, dtype=bool, count=len(cells)))


def _count(rows: NDArray[np.bool_]) -> str:
    """Write how many rows of how many have something: 3 of 60 rows have."""
    count = int(rows.sum())
    return f"{count:,} of {counted(len(rows), 'row')} {'has' if count == 1 else 'have'}"


def _fault(column: pd.Series, unread: NDArray[np.bool_]) -> str:
    """Say what is wrong with cells that are no times."""
    empty = blank(column)[unread]
    parts = [*(["is empty"] if empty.any() else []), *([] if empty.all() else ["cannot be read"])]
    return " or ".join(parts)


def _first(frame: pd.DataFrame, at: int) -> str:
    """Name the first of some rows, and its cell: first 'yesterday' in row 3 of a.csv."""
    places = locate(frame)
    file = places.files[places.file_index[at]]
    cells = frame[COLLECTED_AT].iloc[[at]]
    value = cells.iloc[0]
    told = "an empty cell" if blank(cells)[0] else repr(value) if isinstance(value, str) else value
    shown = str(told)
    if len(shown) > _SHOWN_CHARACTERS:
        shown = f"{shown[: _SHOWN_CHARACTERS - 3]}..."
    where = "" if file == TABLE else f" of {file}"
    return f"first {shown} in row {places.rows[at]:,}{where}"
