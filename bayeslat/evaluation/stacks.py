"""Which stack of a GPU is meant, and which rows are of it."""

from __future__ import annotations

import pandas as pd

from bayeslat.errors import InputError
from bayeslat.inference.posteriors.posterior import PosteriorData
from bayeslat.traces.row_stacks import row_stacks

__all__ = ["choose_stack", "rows_of_stack"]


def choose_stack(data: PosteriorData, gpu: str, stack: str | None, rows: pd.DataFrame) -> str:
    """Return the stack that is meant.

    Parameters
    ----------
    data : PosteriorData
    gpu : str
        Key.
    stack : str or None
        None: the one of the GPU's rows that name none, or else, of a GPU that was not measured,
        the only one of the rows.
    rows : DataFrame, one row a measurement
        Of the GPU.

    Returns
    -------
    str
        Empty where traces name none.

    Raises
    ------
    InputError
        If there are several and none is named.
    """
    if stack is not None:
        return stack
    unnamed = data.unnamed_stack(gpu)
    if unnamed is not None:
        return unnamed
    known = data.known_stacks(gpu)
    if not known:
        known = tuple(dict.fromkeys(row_stacks(rows, None).dropna()))
    if len(known) > 1:
        named = ", ".join(map(repr, known))
        raise InputError(f"{gpu} was measured with the stacks {named}; name one")
    return known[0] if known else ""


def rows_of_stack(rows: pd.DataFrame, stack: str) -> pd.DataFrame:
    """Take the rows of a stack; rows that name none are of any."""
    return rows[row_stacks(rows, stack) == stack]
