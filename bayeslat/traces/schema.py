"""The rules of the trace table that hold for every model: columns, types and values."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence

import numpy as np
import pandas as pd

from bayeslat.traces.cells import blank, to_numbers, wrong_kind, wrong_text
from bayeslat.traces.duplicates import duplicate_violations
from bayeslat.traces.names import (
    COLLECTED_AT,
    CONFIG_ID,
    GPU,
    MEASURED,
    OUTCOME,
    REPEAT,
    STACK,
    TASK,
    is_stage_column,
    latency_columns,
    stage_columns,
)
from bayeslat.traces.violations import (
    Violation,
    files_of,
    violations_at,
    violations_everywhere,
)

__all__ = [
    "COLLECTED_AT",
    "CONFIG_ID",
    "GPU",
    "REPEAT",
    "STACK",
    "TASK",
    "check_frame",
    "is_stage_column",
    "stage_columns",
]


def check_frame(
    frame: pd.DataFrame,
    *,
    need_stages: bool = True,
    need_gpu: bool = True,
    latencies: Sequence[str] = (),
    knobs: Sequence[str] = (),
) -> tuple[Violation, ...]:
    """Return every rule of the trace table that a frame breaks, and change nothing.

    What depends on a spec or on the hardware table (unknown GPUs, missing knobs, odd units) is
    checked where these are known.

    Parameters
    ----------
    frame : DataFrame
        A trace, as `read_traces` returns it, a part of one, or any other frame.
    need_stages : bool
        Whether latencies are required, and checked. A table of configs has none.
    need_gpu : bool
        Whether the column `gpu` is required, and checked.
    latencies : sequence of str
        Columns of latencies that a spec names, besides those called `t_<stage>_ms`.
    knobs : sequence of str
        Columns whose cells the caller checks: those of a spec's knobs.

    Returns
    -------
    tuple of Violation
        In the order of files and rows; empty for a valid frame.
    """
    if not frame.columns.is_unique:
        # Columns that share a name cannot be told apart, so their values are not looked at.
        message = "column names must be unique; rename or remove one"
        names = frame.columns[frame.columns.duplicated()].unique()
        return tuple(
            item for name in names for item in violations_everywhere(frame, str(name), message)
        )
    found = _check_sizes(frame)
    if frame.empty:
        return found
    found += _check_names(frame)
    found += _check_groups(frame, need_gpu=need_gpu)
    measured = latency_columns(frame, latencies)
    if need_stages:
        found += _check_stages(frame, measured, latencies)
        found += _check_repeat(frame) + duplicate_violations(frame, measured)
    found += _check_kinds(frame, (*measured, *knobs))
    order = {file: place for place, file in reversed(list(enumerate(files_of(frame))))}
    return tuple(sorted(found, key=lambda item: (order.get(item.file, len(order)), item.row or 0)))


def _check_names(frame: pd.DataFrame) -> tuple[Violation, ...]:
    """Check that column names are text, without spaces around it."""
    message = "a column name must be text without spaces around it; rename the column"
    found: tuple[Violation, ...] = ()
    labels: Sequence[object] = frame.columns.tolist()
    for position, label in enumerate(labels):
        if not (isinstance(label, str) and label and label == label.strip()):
            # In the files where the column is, not where it is missing.
            there = frame[frame.iloc[:, position].notna().to_numpy()]
            found += violations_everywhere(there, str(label), message)
    return found


def _check_sizes(frame: pd.DataFrame) -> tuple[Violation, ...]:
    """Check that the frame, and every file it was read from, has rows."""
    message = "the table has no rows; give one row for each measurement, or leave the file out"
    sources = frame.attrs.get("bayeslat", {}).get("sources", [])
    without = [str(file) for file, _, n_rows in sources if n_rows == 0]
    if frame.empty and not without:
        without = list(files_of(frame))
    return tuple(Violation(file, (), None, message) for file in without)


def _check_groups(frame: pd.DataFrame, *, need_gpu: bool) -> tuple[Violation, ...]:
    """Check the columns that say what a row belongs to: GPU, stack and task."""
    found: tuple[Violation, ...] = ()
    if need_gpu and GPU not in frame.columns:
        found += violations_everywhere(frame, GPU, f"the column is required; {_gpu_cure(frame)}")
    elif need_gpu:
        message = "a GPU must be named in every row; fill in its key of the hardware table"
        found += violations_at(frame, blank(frame[GPU]), GPU, message, show=False)
    for column, example in ((GPU, "'h100_sxm'"), (STACK, "'vllm_0.24.0'"), (TASK, "'ocr'")):
        if column in frame.columns and (column != GPU or need_gpu):
            message = f"must be text such as {example}; write it as text"
            found += violations_at(frame, wrong_text(frame[column]), column, message)
    return found


def _gpu_cure(frame: pd.DataFrame) -> str:
    """Return how to come by a column `gpu`, naming the one that is probably meant."""
    lower = {str(name).strip().lower(): str(name) for name in frame.columns}
    near = difflib.get_close_matches(GPU, list(lower), n=1, cutoff=0.5)
    near = near or [name for name in ("device", "accelerator", "hardware") if name in lower]
    if near:
        return f"rename column {lower[near[0]]!r} to {GPU!r}"
    return "add it, with the key of each row's GPU in the hardware table"


def _check_stages(
    frame: pd.DataFrame, stages: Sequence[str], wanted: Sequence[str]
) -> tuple[Violation, ...]:
    """Check that latencies are there, are numbers, and are finite and above zero."""
    if not stages:
        names = ", ".join(wanted) or "t_<stage>_ms"
        message = f"no latency column {names}; {_stage_cure(frame, wanted)}"
        return violations_everywhere(frame, None, message)
    found: tuple[Violation, ...] = ()
    for column in stages:
        values, wrong = to_numbers(frame[column])
        rule = "a latency must be a number in milliseconds, without its unit"
        cure = "write the bare number, or leave the cell empty if it was not measured"
        found += violations_at(frame, wrong, column, f"{rule}; {cure}")
        outside = ~np.isnan(values) & ~(np.isfinite(values) & (values > 0.0))
        rule = "a latency must be finite and above 0 ms"
        cure = (
            "measure it again, leave the cell empty if it was not measured, or write 0.001 where "
            "it is shorter than a tick of its clock"
        )
        found += violations_at(frame, outside, column, f"{rule}; {cure}")
    bare = ~frame[list(stages)].notna().to_numpy().any(axis=1)
    if OUTCOME in frame.columns:  # such as out of memory
        bare &= blank(frame[OUTCOME]) | (frame[OUTCOME] == MEASURED).to_numpy()
    rule = f"a row must hold a latency in at least one of {', '.join(stages)}"
    return found + violations_at(frame, bare, None, f"{rule}; measure one, or remove the row")


def _stage_cure(frame: pd.DataFrame, wanted: Sequence[str]) -> str:
    """Return how to come by a latency column, naming one that is probably meant."""
    for name in map(str, frame.columns):
        meant = re.fullmatch(r"(?:t_|time_)?(\w+?)_?(?:ms|msec|milliseconds)", name.strip(), re.I)
        if meant is not None:
            return f"rename {name!r} to 't_{meant[1]}_ms' if it is one"
    example = wanted[0] if wanted else "t_llm_prefill_ms"
    return f"add one for each measured stage, in milliseconds, such as {example!r}"


def _check_repeat(frame: pd.DataFrame) -> tuple[Violation, ...]:
    """Check that repeats, where given, are counted 0, 1, 2, ..."""
    if REPEAT not in frame.columns:
        return ()
    values, wrong = to_numbers(frame[REPEAT])
    uncounted = ~np.isnan(values) & ~((values >= 0) & (values == np.floor(values)))
    uncounted |= np.isinf(values)
    message = "must be a whole number, 0 or more; number the repeats of a config 0, 1, 2, ..."
    return violations_at(frame, wrong | uncounted, REPEAT, message)


def _check_kinds(frame: pd.DataFrame, checked: Sequence[str]) -> tuple[Violation, ...]:
    """Check that every column without rules of its own holds cells of one kind."""
    found: tuple[Violation, ...] = ()
    ruled = {GPU, STACK, TASK, REPEAT, *checked}
    for column in [name for name in frame.columns if name not in ruled]:
        rule = "mixes numbers, text or truth values, here or between files"
        cure = "store one kind in every row of every file"
        if column == COLLECTED_AT:
            cure = "store it in every file as text such as '2026-01-31T12:00:00Z'"
        found += violations_at(frame, wrong_kind(frame[column]), column, f"{rule}; {cure}")
    return found
