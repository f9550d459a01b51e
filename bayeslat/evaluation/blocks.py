"""The rows of a GPU, in a block for each stack that they are taken for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayeslat.inference.posterior import PosteriorData
from bayeslat.traces.names import STACK

__all__ = ["name_block", "split_stacks"]


def split_stacks(
    data: PosteriorData, gpu: str, rows: pd.DataFrame
) -> dict[str | None, NDArray[np.int64]]:
    """Return the positions of the rows of each stack.

    Parameters
    ----------
    data : PosteriorData
        It tells which stack is meant by rows that name none.
    gpu : str
        Key.
    rows : DataFrame, one row a measurement
        Of the GPU.

    Returns
    -------
    dict of str or None to ndarray of int, shape (row,)
        In the order of the rows. Empty for the stack without a name; None where none is named and
        it is not known which is meant.
    """
    meant = data.unnamed_stack(gpu)
    if STACK not in rows:
        return {meant: np.arange(len(rows))}
    names = [meant if pd.isna(name) else str(name) for name in rows[STACK].astype(object)]
    return {
        stack: np.flatnonzero([name == stack for name in names]) for stack in dict.fromkeys(names)
    }


def name_block(row: Mapping[str, Any], *, alone: bool) -> str:
    """Name the GPU, and its stack where that is not the only one.

    Parameters
    ----------
    row : mapping
        `gpu`, `stack` and `unmeasured`, of a check's frame.
    alone : bool
        Whether the rows of the GPU are of no other stack.

    Returns
    -------
    str

    Examples
    --------
    >>> row = {"gpu": "l40s", "stack": "v2", "unmeasured": ""}
    >>> name_block(row, alone=True), name_block(row, alone=False)
    ('l40s', 'l40s with v2')
    >>> name_block({**row, "unmeasured": "stack"}, alone=True)
    'l40s with v2'
    """
    if alone and row["unmeasured"] not in ("stack", "name"):
        return str(row["gpu"])
    return f"{row['gpu']} with {row['stack']}" if row["stack"] else f"{row['gpu']} without a stack"
