"""Which stack each row of a trace is of."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayeslat.traces.cells import plain
from bayeslat.traces.names import GPU, STACK

__all__ = ["row_stacks", "split_by_stack"]


def row_stacks(rows: pd.DataFrame, unnamed: str | Mapping[str, str] | None = "") -> pd.Series:
    """Name the stack of each row, without spaces around it; a name of spaces is none.

    Parameters
    ----------
    rows : DataFrame, one row a measurement
    unnamed : str, mapping of GPU to str, or None
        The stack of rows that name none.

    Returns
    -------
    Series of str or None

    Examples
    --------
    >>> rows = pd.DataFrame({"gpu": ["l40s", "h100_sxm"], "stack": [None, "v2"]})
    >>> row_stacks(rows, "v1").tolist(), row_stacks(rows[["gpu"]]).tolist()
    (['v1', 'v2'], ['', ''])
    >>> row_stacks(rows, {"l40s": "v3", "h100_sxm": "v1"}).tolist()
    ['v3', 'v2']
    """
    found = np.full(len(rows), None, dtype=object)
    if STACK in rows:
        codes, names = pd.factorize(plain(rows[STACK]))  # -1 where none is named
        told = [str(name).strip() or None for name in names]
        found = np.array([*told, None], dtype=object)[codes]
    if isinstance(unnamed, Mapping):
        meant = rows[GPU].map(unnamed).to_numpy(dtype=object)
    else:
        meant = np.full(len(rows), unnamed, dtype=object)
    return pd.Series(np.where(pd.isna(found), meant, found), rows.index).astype(object)


def split_by_stack(
    rows: pd.DataFrame, unnamed: str | None = ""
) -> dict[str | None, NDArray[np.int64]]:
    """Return the positions of the rows of each stack.

    Parameters
    ----------
    rows : DataFrame, one row a measurement
    unnamed : str or None
        The stack of rows that name none.

    Returns
    -------
    dict of str or None to ndarray of int, shape (row,)
        In the order of the rows.
    """
    codes, names = pd.factorize(row_stacks(rows, unnamed), use_na_sentinel=False)
    return {
        None if pd.isna(name) else name: np.flatnonzero(codes == code)
        for code, name in enumerate(names)
    }
