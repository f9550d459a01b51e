"""What a file holds, before it becomes a part of a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from bayeslat.errors import InputError, TraceError
from bayeslat.traces.violations import Violation, report

__all__ = ["Column", "FileContent", "check_unique", "refuse", "to_arrow"]

type Column = pa.ChunkedArray | NDArray[np.object_]
"""Cells of one Arrow type, or mixed ones as Python objects; shape (row,)."""


@dataclass(frozen=True, slots=True)
class FileContent:
    """The columns of one file.

    Attributes
    ----------
    columns : dict of str to Column
        In the order of the file.
    n_rows : int
        The number of rows.
    metadata : bytes or None
        The file's own provenance, as JSON; None when it holds none.
    """

    columns: dict[str, Column]
    n_rows: int
    metadata: bytes | None = None


def refuse(
    file: object,
    message: str,
    *,
    rows: tuple[int, ...] = (),
    column: str | None = None,
    found: tuple[str, ...] = (),
) -> TraceError:
    """Return the error for a file that cannot be read, to be raised."""
    violation = Violation(str(file), rows, column, message, found)
    return TraceError(report([violation]), (violation,))


def check_unique(file: object, names: Sequence[str]) -> None:
    """Raise a TraceError when two columns of a file share a name."""
    twice = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    found = tuple(
        Violation(str(file), (), name, "column names must be unique; rename or remove one")
        for name in twice
    )
    if found:
        raise TraceError(report(found), found)


def to_arrow(frame: pd.DataFrame) -> pa.Table:
    """Return the columns of a frame, without its index, as an Arrow table.

    A column of mixed cells (numbers and text) becomes text.

    Raises
    ------
    InputError
        A column holds objects that no file format has a place for.
    """
    return pa.table({str(name): _array(frame[name]) for name in frame.columns})


def _array(column: pd.Series) -> pa.Array | pa.ChunkedArray:
    """Return one column as an Arrow array; NaN is missing."""
    try:
        return pa.array(column, from_pandas=True)
    except (pa.ArrowException, OverflowError, UnicodeError) as error:
        cells = column.astype(object).where(column.notna(), None).tolist()
        if all(cell is None or isinstance(cell, str | bool | int | float) for cell in cells):
            try:
                return pa.array(
                    [None if cell is None else str(cell) for cell in cells], pa.string()
                )
            except UnicodeError:
                pass
        raise InputError(
            f"column {column.name!r} cannot be written ({error}); "
            "convert it to numbers, text or truth values"
        ) from error
