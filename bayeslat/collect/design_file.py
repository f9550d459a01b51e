"""Designs that a file lists, such as what `bayeslat suggest` writes."""

from __future__ import annotations

import difflib
import re
from pathlib import Path

import numpy as np
import pandas as pd

from bayeslat.collect.design_cells import COLUMNS, read_cells
from bayeslat.collect.design_row import RowProblem, read_row
from bayeslat.collect.knobs import Knobs
from bayeslat.collect.limits import VlmLimits
from bayeslat.errors import TraceError
from bayeslat.traces import Violation, locate, read_configs, report
from bayeslat.traces.violations import violations_everywhere

__all__ = ["read_design"]

_FOLDED = {name.replace("_", ""): name for name in COLUMNS}


def read_design(path: str | Path, base: Knobs, limits: VlmLimits) -> tuple[Knobs, ...]:
    """Read the configurations to measure from a table.

    Parameters
    ----------
    path : str or Path
        A CSV, Parquet or JSON Lines file, one row a configuration. Its columns are knobs;
        `vision_tokens`, which with the crops stands for `image_pixels`; and `dtype_bytes`, which
        must be those of the dtype. Other columns are not looked at.
    base : Knobs
        Gives what a row leaves out; but the task of a row gives the lengths that it lacks.
    limits : VlmLimits
        Of the model to measure.

    Returns
    -------
    tuple of Knobs, dim (config,)
        In the order of the file, each once.

    Raises
    ------
    TraceError
        With every cell that cannot be read and every row that the model cannot run; or if the file
        cannot be read, or has no column of a knob.
    """
    frame = read_configs(path, check=False)
    problems = _column_problems(frame)
    known = frame[[name for name in frame.columns if name in COLUMNS]]
    if known.columns.empty and not problems:
        message = f"no column is a knob; add one of {', '.join(COLUMNS)}"
        problems = violations_everywhere(frame, None, message)
    if frame.empty:
        problems += violations_everywhere(frame, None, "has no rows; give one row a configuration")
    rows, unreadable = read_cells(known)
    problems += unreadable
    design: dict[Knobs, None] = {}
    found: list[tuple[int, RowProblem]] = []
    for number, row in enumerate(rows):
        knobs, in_row = read_row(row, base, limits)
        design[knobs] = None
        found += [(number, problem) for problem in in_row]
    problems += _row_violations(known, found)
    if problems:
        raise TraceError(report(problems), problems)
    return tuple(design)


def _column_problems(frame: pd.DataFrame) -> tuple[Violation, ...]:
    """Find columns that are probably knobs, misspelt: taken for another column they go unseen."""
    found: tuple[Violation, ...] = ()
    for name in map(str, frame.columns):
        folded = re.sub(r"[^a-z0-9]", "", name.lower())
        near = difflib.get_close_matches(folded, _FOLDED, n=1, cutoff=0.9)
        if near and name not in COLUMNS:
            message = (
                f"is no knob; rename it to {_FOLDED[near[0]]!r} if it is meant, or take it out"
            )
            found += violations_everywhere(frame, name, message)
    return found


def _row_violations(
    frame: pd.DataFrame, found: list[tuple[int, RowProblem]]
) -> tuple[Violation, ...]:
    """Return the problems of rows, given by position: one violation for rows alike."""
    where = locate(frame)
    groups: dict[tuple[str, RowProblem], list[int]] = {}
    for position, problem in found:
        file = where.files[where.file_index[position]]
        groups.setdefault((file, problem), []).append(int(where.rows[position]))
    return tuple(
        Violation(
            file,
            tuple(np.unique(rows).tolist()),
            problem.column if problem.column in frame.columns else None,
            problem.message,
        )
        for (file, problem), rows in groups.items()
    )
