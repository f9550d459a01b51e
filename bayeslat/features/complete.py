"""Completing rows: knobs that they leave out, and the names of their stacks and tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from bayeslat.features.expressions import Expression, FloatArray
from bayeslat.traces.cells import blank, plain, wrong_text
from bayeslat.traces.names import STACK, TASK

__all__ = ["complete_rows", "default_values"]


def complete_rows(
    frame: pd.DataFrame,
    defaults: Mapping[str, float | Expression],
    stack_columns: Sequence[str],
    software: str | None = None,
    constants: Mapping[str, float] | None = None,
) -> pd.DataFrame:
    """Fill in knobs without a value, and put further columns into the name of the stack.

    Spaces around the names of stacks and tasks go, as around those of GPUs. Doing it twice is
    doing it once.

    Parameters
    ----------
    frame : DataFrame, one row a measurement or config
    defaults : mapping of knob to float or Expression
        An expression over other knobs and constants; of knobs with defaults, those before it.
    stack_columns : sequence of str
        Those that the frame has follow the software, each after a `/`.
    software : str, optional
        Of rows that name none, where the frame has such columns.
    constants : mapping of str to float, optional
        That defaults may name.

    Returns
    -------
    DataFrame
        A copy if anything is to be done.
    """
    if not frame.columns.is_unique or frame.empty:
        return frame
    frame = _without_spaces(frame)
    new: dict[str, pd.Series] = {}
    for knob, default in defaults.items():
        if knob in frame and not frame[knob].isna().any():
            continue
        known: dict[str, npt.ArrayLike] = dict(constants or {})
        for name in default.names if isinstance(default, Expression) else ():
            column = new.get(name, frame.get(name))
            if column is not None:
                known[name] = pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64)
        values = default_values(default, known)
        if values is not None:
            filled = pd.Series(values, frame.index)
            new[knob] = frame[knob].fillna(filled) if knob in frame else filled
    columns = [name for name in stack_columns if name in frame]
    if columns:
        new[STACK] = _stacks(frame, columns, software)
    return frame.assign(**new) if new else frame


def default_values(
    default: float | Expression, known: Mapping[str, npt.ArrayLike]
) -> float | FloatArray | None:
    """Return what a knob is where rows say nothing of it.

    Parameters
    ----------
    default : float or Expression
    known : mapping of str to array_like
        Values of the names that an expression may use.

    Returns
    -------
    float, ndarray or None
        None where a name has no value: that it is missing is told where rows are checked.
    """
    if not isinstance(default, Expression):
        return default
    return default.evaluate(known) if default.names <= known.keys() else None


def _without_spaces(frame: pd.DataFrame) -> pd.DataFrame:
    """Take the spaces around names of stacks and tasks away; the frame itself where there are none.

    What is no text is told of elsewhere.
    """
    new = {}
    for column in (STACK, TASK):
        if column in frame:
            cells = plain(frame[column])
            names = cells.mask(wrong_text(cells)).dropna().unique()
            bare = {name: name.strip() for name in names if name != name.strip()}
            if bare:
                new[column] = cells.replace(bare)
    return frame.assign(**new) if new else frame


def _stacks(frame: pd.DataFrame, columns: Sequence[str], software: str | None) -> pd.Series:
    """Name each row's stack; None where nothing names one."""
    named = frame[STACK] if STACK in frame else pd.Series(None, frame.index, dtype=object)
    named = plain(named).astype(object).where(~blank(named), software)
    values = zip(*(frame[name].to_list() for name in columns), strict=True)
    names = [_stack(name, parts) for name, parts in zip(named.to_list(), values, strict=True)]
    return pd.Series(names, frame.index, dtype=object)


def _stack(software: object, parts: Sequence[object]) -> object:
    """Append what a stack is told apart by; a name that is no text is told of elsewhere."""
    if not (isinstance(software, str) or pd.isna(software)):  # type: ignore[call-overload]
        return software
    name = software if isinstance(software, str) else ""
    more = "".join(f"/{str(part).strip()}" for part in parts if not pd.isna(part))  # type: ignore[call-overload]
    return (name if name.endswith(more) else name + more) or None
