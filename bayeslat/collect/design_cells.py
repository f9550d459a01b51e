"""Cells of a design's table, as whole numbers and words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayeslat.collect.knobs import Knobs
from bayeslat.traces import Violation, violations_at
from bayeslat.traces.cells import blank, to_numbers, wrong_text

__all__ = ["COLUMNS", "Row", "read_cells"]

_WORDS = ("dtype", "task")
COLUMNS = ("vision_tokens", *(knob.name for knob in fields(Knobs)), "dtype_bytes")
"""Columns that say which configuration a row is."""


@dataclass(frozen=True)
class Row:
    """What one row says.

    Attributes
    ----------
    numbers : mapping of str to int
    words : mapping of str to str
        Blank cells are left out, and so are unreadable ones.
    unreadable : frozenset of str
        Columns whose cell cannot be read.
    """

    numbers: Mapping[str, int]
    words: Mapping[str, str]
    unreadable: frozenset[str]


def read_cells(frame: pd.DataFrame) -> tuple[tuple[Row, ...], tuple[Violation, ...]]:
    """Read the rows of a table.

    Parameters
    ----------
    frame : DataFrame, one row a config
        Columns of `COLUMNS`.

    Returns
    -------
    rows : tuple of Row, dim (config,)
    violations : tuple of Violation
        Every cell that is not what its column holds.
    """
    numbers: dict[str, list[int | None]] = {}
    words: dict[str, list[str | None]] = {}
    wrong: dict[str, NDArray[np.bool_]] = {}
    violations: tuple[Violation, ...] = ()
    for column in frame.columns:
        cells = frame[column].mask(blank(frame[column]))
        if column in _WORDS:
            words[column], wrong[column] = _read_words(cells)
            message = "must be text; write it as text, or leave the cell empty"
        else:
            numbers[column], wrong[column] = _read_numbers(cells)
            message = "must be a whole number, 1 or more; correct it, or leave the cell empty"
        violations += violations_at(frame, wrong[column], column, message)
    rows = tuple(
        Row(
            _present(numbers, position),
            _present(words, position),
            frozenset(name for name, cells in wrong.items() if cells[position]),
        )
        for position in range(len(frame))
    )
    return rows, violations


def _present[Cell](columns: Mapping[str, list[Cell | None]], position: int) -> dict[str, Cell]:
    """Return the cells of one row that hold something."""
    cells = {name: column[position] for name, column in columns.items()}
    return {name: cell for name, cell in cells.items() if cell is not None}


def _read_numbers(cells: pd.Series) -> tuple[list[int | None], NDArray[np.bool_]]:
    """Return whole numbers, None where there is none, and where a cell is something else."""
    values, wrong = to_numbers(cells)
    whole = np.isfinite(values) & (values >= 1) & (values == np.floor(values)) & ~wrong
    wrong |= ~np.isnan(values) & ~whole
    read = [int(value) if good else None for value, good in zip(values, whole, strict=True)]
    return read, wrong


def _read_words(cells: pd.Series) -> tuple[list[str | None], NDArray[np.bool_]]:
    """Return texts, None where there is none, and where a cell is something else."""
    wrong = wrong_text(cells)
    good = cells.notna().to_numpy() & ~wrong
    return [
        str(cell) if is_text else None for cell, is_text in zip(cells, good, strict=True)
    ], wrong
