"""The rule that a config is measured twice only when its repeats are numbered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayeslat.traces.cells import blank, plain, wrong_text
from bayeslat.traces.names import (
    COLLECTED_AT,
    CONFIG_ID,
    GPU,
    REPEAT,
    STACK,
    TASK,
    stage_columns,
)
from bayeslat.traces.times import read_times
from bayeslat.traces.violations import Violation, locate, violations_at

__all__ = ["duplicate_violations"]

_SHOWN = 3
_FILE = "file of the row"
_NEVER = pd.Timestamp(0, tz="UTC")  # rows whose times cannot be read are not told apart by them


def duplicate_violations(
    frame: pd.DataFrame, latencies: Sequence[str] | None = None
) -> tuple[Violation, ...]:
    """Return the rows that measure a stage of a config again without a repeat number of their own.

    Rows with a `config_id` are the same config when GPU, stack, task and `config_id` agree; other
    rows when every column but the latencies and `collected_at` does. Rows that hold different
    stages of one config are not repeats, nor are rows of different files that tell a number of
    their repeat and were collected at different times, with other latencies: each file numbers its
    own.
    Rows without a GPU are not compared: nobody knows whether they are of the same one.

    Parameters
    ----------
    frame : DataFrame
        A trace with unique column names.
    latencies : sequence of str, optional
        Its columns of latencies; by default those called `t_<stage>_ms`.

    Returns
    -------
    tuple of Violation
        The first row of each config is not among them.
    """
    if GPU not in frame.columns:
        return ()
    known = np.zeros(len(frame), dtype=bool)
    if CONFIG_ID in frame.columns:
        known = frame[CONFIG_ID].notna().to_numpy()
    placed = ~(blank(frame[GPU]) | wrong_text(frame[GPU]))
    stages = stage_columns(frame) if latencies is None else latencies
    named = [name for name in (GPU, STACK, TASK, CONFIG_ID, REPEAT) if name in frame.columns]
    others = [name for name in frame.columns if name not in {*stages, COLLECTED_AT}]
    keyed = _earlier(frame, placed & known, named, stages)
    if (keyed >= 0).any() and {REPEAT, COLLECTED_AT} <= {*frame.columns}:
        told = ~(blank(frame[REPEAT]) | blank(frame[COLLECTED_AT]))
        apart = told & told[keyed]  # of a row that no other is like, it does not matter
        keyed = np.where(apart, _copied(frame, placed & known & told, named, stages), keyed)
    alike = _earlier(frame, placed & ~known, others, stages)
    cure = (
        "number the repeats of a config in a column 'repeat', or remove the row; "
        "configs that differ need different config_ids"
    )
    return _violations(
        frame, keyed, f"the same gpu, stack, task and config_id as another row; {cure}"
    ) + _violations(frame, alike, f"the same config as another row; {cure}")


def _copied(
    frame: pd.DataFrame, among: NDArray[np.bool_], keys: list[str], stages: Sequence[str]
) -> NDArray[np.intp]:
    """Return what `_earlier` does, less rows of other files that were measured by themselves.

    A tool that writes a trace again may write its times in another form, or cut them short.
    """
    within = _earlier(frame, among, keys, stages, locate(frame).file_index)
    times = read_times(frame[COLLECTED_AT]).fillna(_NEVER)
    at_once = _earlier(frame.assign(**{COLLECTED_AT: times}), among, [*keys, COLLECTED_AT], stages)
    alike = _earlier(frame, among, [*keys, *stages], stages)
    return np.maximum(np.maximum(within, at_once), alike)


def _earlier(
    frame: pd.DataFrame,
    among: NDArray[np.bool_],
    keys: list[str],
    stages: Sequence[str],
    files: NDArray[np.intp] | None = None,
) -> NDArray[np.intp]:
    """Return for each row the position of an earlier row that measured the same, or -1.

    Parameters
    ----------
    frame : DataFrame
        The trace.
    among : ndarray of bool, shape (row,)
        The rows to compare.
    keys : list of str
        The columns in which two measurements of one config agree.
    stages : sequence of str
        The columns of latencies.
    files : ndarray of int, shape (row,), optional
        Compares rows of one file alone.
    """
    earlier = np.full(len(frame), -1, dtype=np.intp)
    if not keys or not stages or not among.any():
        return earlier
    table = pd.DataFrame({key: _hashable(frame[key]) for key in keys}).reset_index(drop=True)
    if files is not None:
        table[_FILE] = files
    table = table[among]
    table = table[table.duplicated(keep=False)]
    if table.empty:
        return earlier
    config = table.groupby([*table.columns], dropna=False, sort=False).ngroup()
    for stage in stages:
        rows = config[frame[stage].notna().to_numpy()[config.index]]
        first = rows.index.to_series().groupby(rows.to_numpy()).transform("first")
        again = rows.duplicated().to_numpy()
        earlier[rows.index[again]] = first.to_numpy()[again]
    return earlier


def _hashable(column: pd.Series) -> pd.Series:
    """Return a column whose cells can be compared, mixed and nested ones as text."""
    column = plain(column)
    return column.astype(str) if column.dtype == object else column


def _violations(
    frame: pd.DataFrame, earlier: NDArray[np.intp], message: str
) -> tuple[Violation, ...]:
    """Return the violations of rows that have an earlier one, naming the first few pairs."""
    found = violations_at(frame, earlier >= 0, None, message)
    if not found:
        return found
    location = locate(frame)

    def pairs(file: str) -> tuple[str, ...]:
        here = location.file_index == location.files.index(file)
        positions = np.flatnonzero((earlier >= 0) & here)
        positions = positions[np.argsort(location.rows[positions])][:_SHOWN]
        first = earlier[positions]
        return tuple(
            f"row {row} repeats row {other_row} of {location.files[other_file]}"
            for row, other_row, other_file in zip(
                location.rows[positions],
                location.rows[first],
                location.file_index[first],
                strict=True,
            )
        )

    return tuple(replace(item, found=pairs(item.file)) for item in found)
