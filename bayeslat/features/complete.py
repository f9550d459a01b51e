"""Completing rows: knobs that they leave out, and the full names of their stacks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

__all__ = ["complete_rows"]

_STACK = "stack"


def complete_rows(
    frame: pd.DataFrame,
    defaults: Mapping[str, float],
    stack_columns: Sequence[str],
    software: str | None = None,
) -> pd.DataFrame:
    """Fill in knobs without a value, and put further columns into the name of the stack.

    Doing it twice is doing it once.

    Parameters
    ----------
    frame : DataFrame, one row a measurement or config
    defaults : mapping of knob to float
    stack_columns : sequence of str
        Those that the frame has follow the software, each after a `/`.
    software : str, optional
        Of rows that name none, where the frame has such columns.

    Returns
    -------
    DataFrame
        A copy if anything is to be done.
    """
    if not frame.columns.is_unique or frame.empty:
        return frame
    new = {}
    for knob, value in defaults.items():
        if knob not in frame:
            new[knob] = pd.Series(value, frame.index)
        elif frame[knob].isna().any():
            new[knob] = frame[knob].fillna(value)
    columns = [name for name in stack_columns if name in frame]
    if columns:
        new[_STACK] = _stacks(frame, columns, software)
    return frame.assign(**new) if new else frame


def _stacks(frame: pd.DataFrame, columns: Sequence[str], software: str | None) -> pd.Series:
    """Name each row's stack; None where nothing names one."""
    named = frame[_STACK] if _STACK in frame else pd.Series(None, frame.index, dtype=object)
    if software is not None:
        named = named.astype(object).where(named.notna(), software)
    values = zip(*(frame[name].to_list() for name in columns), strict=True)
    names = [_stack(name, parts) for name, parts in zip(named.to_list(), values, strict=True)]
    return pd.Series(names, frame.index, dtype=object)


def _stack(software: object, parts: Sequence[object]) -> object:
    """Append what a stack is told apart by; a name that is no text is told of elsewhere."""
    if not (isinstance(software, str) or pd.isna(software)):  # type: ignore[call-overload]
        return software
    name = software if isinstance(software, str) else ""
    more = "".join(f"/{part}" for part in parts if not pd.isna(part))  # type: ignore[call-overload]
    return (name if name.endswith(more) else name + more) or None
