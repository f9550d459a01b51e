"""Kinds of rows in one trace, such as a server's steps and its requests."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components

from bayeslat.features.spec import Spec
from bayeslat.inference.rows.stage_rows import latency_of

__all__ = ["row_kinds", "take_turns"]


def row_kinds(spec: Spec, rows: pd.DataFrame) -> NDArray[np.int64]:
    """Tell rows apart by what they hold.

    Stages that some row holds together are of one kind. A row that holds none of them is of the
    first kind.

    Parameters
    ----------
    spec : Spec
    rows : DataFrame, one row a measurement

    Returns
    -------
    ndarray of int, shape (row,)
    """
    held = np.stack([~np.isnan(latency_of(spec, stage, rows)) for stage in spec.stages], axis=1)
    together = held.T.astype(int) @ held.astype(int)
    kind_of_stage = connected_components(together, directed=False)[1]
    kinds: NDArray[np.int64] = kind_of_stage[held.argmax(axis=1)].astype(np.int64)
    return kinds


def take_turns(order: NDArray[np.int64], kinds: NDArray[np.int64]) -> NDArray[np.int64]:
    """Let kinds take turns, each in its own order, until one has no more.

    Parameters
    ----------
    order : ndarray of int, shape (item,)
        Positions.
    kinds : ndarray of int, shape (item,)
        Of each position.

    Returns
    -------
    ndarray of int, shape (item,)
        The order itself where all are of one kind.
    """
    turn = pd.Series(order).groupby(kinds[order]).cumcount().to_numpy()
    return order[np.argsort(turn, kind="stable")]
