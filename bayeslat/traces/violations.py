"""Rules that a trace breaks: where they were found, and how they are told to people."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayeslat.counted import counted

__all__ = [
    "TABLE",
    "Location",
    "Violation",
    "files_of",
    "locate",
    "report",
    "violations_at",
    "violations_everywhere",
]

#: Stands for the file of rows that were not read from one.
TABLE = "(table)"

_SHOWN_FILES = 3
_SHOWN_RANGES = 4
_SHOWN_VALUES = 3
_SHOWN_CHARACTERS = 40


@dataclass(frozen=True, slots=True)
class Violation:
    """A rule that some rows of one file break.

    Attributes
    ----------
    file : str
        The file, as it was named by the user, or `TABLE`.
    rows : tuple of int
        Every row that breaks the rule, in order; 1 is the first row below the header. Empty when
        the whole file or column breaks it.
    column : str or None
        The column, or None when the rule is not about one.
    message : str
        The rule and the cure.
    found : tuple of str
        The first different offending values, as text.
    """

    file: str
    rows: tuple[int, ...]
    column: str | None
    message: str
    found: tuple[str, ...] = ()

    @property
    def row(self) -> int | None:
        """The first row that breaks the rule; None for a whole file or column."""
        return self.rows[0] if self.rows else None


@dataclass(frozen=True, slots=True)
class Location:
    """Where each row of a frame was read.

    Attributes
    ----------
    files : tuple of str
        The files, in the order they were read; `TABLE` last.
    file_index : ndarray of int, shape (row,)
        The position of the row's file in `files`.
    rows : ndarray of int, shape (row,)
        The row's number in its file, from 1; the position in the frame for rows of `TABLE`.
    """

    files: tuple[str, ...]
    file_index: NDArray[np.intp]
    rows: NDArray[np.int64]


def locate(frame: pd.DataFrame) -> Location:
    """Return the file and the row number in it of every row of a frame.

    Rows are known by their index label, so slices and reordered frames are located too. Where
    labels are no row numbers or not unique, every row belongs to `TABLE`. A frame whose index was
    reset after rows had been taken out is numbered as if they were still there.

    Parameters
    ----------
    frame : DataFrame
        A trace, or any other frame: rows that were not read from a file belong to `TABLE`.

    Returns
    -------
    Location
    """
    attributes = frame.attrs.get("bayeslat", {})
    sources = [source for source in attributes.get("sources", []) if source[2] > 0]
    files = (*(str(file) for file, _, _ in sources), TABLE)
    file_index = np.full(len(frame), len(sources), dtype=np.intp)
    rows = np.arange(1, len(frame) + 1, dtype=np.int64)
    readable = frame.index.is_unique and pd.api.types.is_integer_dtype(frame.index.dtype)
    if sources and readable:
        labels = frame.index.to_numpy(dtype=np.int64)
        first = np.array([label for _, label, _ in sources], dtype=np.int64)
        count = np.array([n_rows for _, _, n_rows in sources], dtype=np.int64)
        nearest = np.maximum(np.searchsorted(first, labels, side="right") - 1, 0)
        offset = labels - first[nearest]
        known = (offset >= 0) & (offset < count[nearest])
        file_index[known] = nearest[known]
        rows[known] = offset[known] + 1
    return Location(files, file_index, rows)


def files_of(frame: pd.DataFrame) -> tuple[str, ...]:
    """Return the files of a frame in the order they were read; `TABLE` without any."""
    sources = frame.attrs.get("bayeslat", {}).get("sources", [])
    return tuple(str(file) for file, _, _ in sources) or (TABLE,)


def violations_everywhere(
    frame: pd.DataFrame, column: str | None, message: str
) -> tuple[Violation, ...]:
    """Return a violation about every whole file that has rows in the frame.

    Parameters
    ----------
    frame : DataFrame
        The trace.
    column : str or None
        The column that the rule is about.
    message : str
        The rule and the cure.

    Returns
    -------
    tuple of Violation
        Without rows: dropping some cures nothing.
    """
    location = locate(frame)
    files = [location.files[index] for index in np.unique(location.file_index)]
    return tuple(Violation(file, (), column, message) for file in files or files_of(frame))


def violations_at(
    frame: pd.DataFrame,
    broken: NDArray[np.bool_],
    column: str | None,
    message: str,
    *,
    show: bool = True,
) -> tuple[Violation, ...]:
    """Return the violations of one rule, one for each file that holds broken rows.

    Parameters
    ----------
    frame : DataFrame
        The trace.
    broken : ndarray of bool, shape (row,)
        True where the rule is broken.
    column : str or None
        The column that the rule is about.
    message : str
        The rule and the cure.
    show : bool
        Whether to name the offending values of `column`.

    Returns
    -------
    tuple of Violation
        In the order of the files; empty when no row is broken.
    """
    broken = np.asarray(broken, dtype=bool)
    if not broken.any():
        return ()
    location = locate(frame)
    positions = np.flatnonzero(broken)
    positions = positions[np.lexsort((location.rows[positions], location.file_index[positions]))]
    indices, starts = np.unique(location.file_index[positions], return_index=True)
    return tuple(
        Violation(
            file=location.files[index],
            rows=tuple(location.rows[group].tolist()),
            column=column,
            message=message,
            found=_found(frame[column].iloc[group]) if show and column is not None else (),
        )
        for index, group in zip(indices, np.split(positions, starts[1:]), strict=True)
    )


def report(violations: Iterable[Violation], limit: int = 20) -> str:
    """Return a short text about any number of violations, identical ones told once.

    Parameters
    ----------
    violations : iterable of Violation
        What was found.
    limit : int
        The most lines about violations.

    Returns
    -------
    str
        One line for a single rule, otherwise a count and one line for each.
    """
    groups: dict[tuple[str | None, str], list[Violation]] = {}
    for violation in violations:
        groups.setdefault((violation.column, violation.message), []).append(violation)
    lines = [_line(group) for group in groups.values()]
    if len(lines) <= 1:
        return "".join(lines)
    shown = [f"- {line}" for line in lines[:limit]]
    if len(lines) > limit:
        shown.append(f"- and {counted(len(lines) - limit, 'more problem')}")
    return "\n".join([f"{len(lines)} problems:", *shown])


def _line(group: Sequence[Violation]) -> str:
    """Return the sentence about violations that share a column and a message."""
    first = group[0]
    places = [_place(violation) for violation in group[:_SHOWN_FILES]]
    if len(group) > _SHOWN_FILES:
        places.append(f"and {counted(len(group) - _SHOWN_FILES, 'more file')}")
    column = "" if first.column is None else f", column {first.column!r}"
    values = list(dict.fromkeys(value for violation in group for value in violation.found))
    found = f" (found {_listed(values, _SHOWN_VALUES)})" if values else ""
    return f"{'; '.join(places)}{column}: {first.message}{found}"


def _place(violation: Violation) -> str:
    """Return a file and its rows: `a.csv rows 3, 7-9 and 40 more`."""
    if not violation.rows:
        return violation.file
    rows = np.asarray(violation.rows, dtype=np.int64)
    breaks = np.flatnonzero(np.diff(rows) != 1)
    first = rows[np.concatenate([[0], breaks + 1])][:_SHOWN_RANGES].tolist()
    last = rows[np.concatenate([breaks, [rows.size - 1]])][:_SHOWN_RANGES].tolist()
    shown = [
        str(low) if low == high else f"{low}-{high}" for low, high in zip(first, last, strict=True)
    ]
    rest = rows.size - sum(high - low + 1 for low, high in zip(first, last, strict=True))
    more = f" and {rest} more" if rest else ""
    return f"{violation.file} row{'s' * (rows.size > 1)} {', '.join(shown)}{more}"


def _listed(values: Sequence[str], limit: int) -> str:
    """Return the first values as text, and that there are more."""
    return ", ".join(values[:limit]) + (", ..." if len(values) > limit else "")


def _found(cells: pd.Series) -> tuple[str, ...]:
    """Return the first different values as text; one more than is shown, to tell that there are."""
    values = cells.head(1000).tolist()
    return tuple(dict.fromkeys(_shown(value) for value in values))[: _SHOWN_VALUES + 1]


def _shown(value: object) -> str:
    """Return one value as people would write it: text in quotes, numbers bare, nothing long."""
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    if isinstance(value, str):
        text = repr(value)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[: _SHOWN_CHARACTERS - 3]}..."
