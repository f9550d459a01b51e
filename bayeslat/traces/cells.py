"""What the cells of a column are, whatever type pandas stores them as."""

from __future__ import annotations

from decimal import Decimal
from numbers import Real

import numpy as np
import pandas as pd
from numpy.typing import NDArray

__all__ = ["blank", "is_true", "plain", "to_numbers", "wrong_kind", "wrong_text"]

type BoolArray = NDArray[np.bool_]


def plain(column: pd.Series) -> pd.Series:
    """Return the column with categories replaced by the values they stand for."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        return column.astype(column.dtype.categories.dtype)
    return column


def to_numbers(column: pd.Series) -> tuple[NDArray[np.float64], BoolArray]:
    """Return the numbers of a column and where a cell is something else.

    Parameters
    ----------
    column : Series
        Cells of any type. Truth values are not numbers, nor are numbers written as text.

    Returns
    -------
    values : ndarray of float, shape (row,)
        NaN where a cell is missing or cannot be read as a number.
    wrong : ndarray of bool, shape (row,)
        The cells that keep the column from being numbers: those that cannot be read as a number,
        or, where all can, every number written as text.
    """
    column = plain(column)
    if _holds_numbers(column):
        return column.to_numpy(dtype=np.float64, na_value=np.nan), np.zeros(len(column), dtype=bool)
    cells = column.to_numpy(dtype=object)
    present = column.notna().to_numpy()
    number = np.fromiter((_is_number(cell) for cell in cells), dtype=bool, count=len(cells))
    values = np.full(len(cells), np.nan)
    values[number & present] = cells[number & present].astype(np.float64)
    wrong = present & ~number
    read = _numbers_in_text(cells)
    values[wrong] = read[wrong]
    unreadable = wrong & np.isnan(read)
    return values, unreadable if unreadable.any() else wrong


def wrong_text(column: pd.Series) -> BoolArray:
    """Return where a cell is present but not text, shape (row,)."""
    column = plain(column)
    if isinstance(column.dtype, pd.StringDtype):
        return np.zeros(len(column), dtype=bool)
    cells = column.to_numpy(dtype=object)
    text = np.fromiter((isinstance(cell, str) for cell in cells), dtype=bool, count=len(cells))
    return column.notna().to_numpy() & ~text


def blank(column: pd.Series) -> BoolArray:
    """Return where a cell is missing or text of spaces only, shape (row,)."""
    cells = plain(column)
    texts = cells.mask(wrong_text(cells))
    spaces = [text for text in texts.unique() if isinstance(text, str) and not text.strip()]
    found: BoolArray = (cells.isna() | texts.isin(spaces)).to_numpy(dtype=bool)
    return found


def is_true(column: pd.Series) -> BoolArray:
    """Return where a cell is true, or 1, shape (row,): CSV with an empty cell has truth as text."""
    texts = plain(column).astype(str).str.lower()
    found: BoolArray = texts.isin(["true", "1", "1.0"]).to_numpy(dtype=bool)
    return found


def wrong_kind(column: pd.Series) -> BoolArray:
    """Return the cells that keep a column from being of one kind (numbers, text, truth values).

    Parameters
    ----------
    column : Series
        Cells of any type.

    Returns
    -------
    ndarray of bool, shape (row,)
        The cells of the rarer kinds. Numbers written as text are taken for numbers, unless they
        are all that is wrong.
    """
    none = np.zeros(len(column), dtype=bool)
    if column.dtype != object:
        return none
    cells = column.to_numpy(dtype=object)
    present = column.notna().to_numpy()
    kinds = np.array([_kind(cell) for cell in cells], dtype=object)
    if len(set(kinds[present])) <= 1:
        return none
    alike = np.where(np.isnan(_numbers_in_text(cells)), kinds, "number")
    names, counts = np.unique(alike[present].astype(str), return_counts=True)
    common = names[counts.argmax()]
    odd: BoolArray = present & (alike != common)
    return odd if odd.any() else np.asarray(present & (kinds != common), dtype=bool)


def _holds_numbers(column: pd.Series) -> bool:
    """Tell whether the type of a column says that every cell is a real number."""
    types = pd.api.types
    return (
        types.is_numeric_dtype(column.dtype)
        and not types.is_bool_dtype(column.dtype)
        and not types.is_complex_dtype(column.dtype)
    )


def _is_number(cell: object) -> bool:
    """Tell whether a cell is a real number; truth values are not."""
    return isinstance(cell, Real | Decimal) and not isinstance(cell, bool)


def _numbers_in_text(cells: NDArray[np.object_]) -> NDArray[np.float64]:
    """Return the numbers that are written as text, NaN elsewhere, shape (row,)."""
    texts = pd.Series([cell if isinstance(cell, str) else None for cell in cells], dtype="str")
    return pd.to_numeric(texts, errors="coerce").to_numpy(dtype=np.float64)


def _kind(cell: object) -> str:
    """Return the kind of one cell."""
    if isinstance(cell, bool | np.bool_):
        return "truth value"
    if _is_number(cell):
        return "number"
    return type(cell).__name__
