"""Gross errors of donors in a posterior's tree: a row a stage of each."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import xarray as xr

from bayeslat.inference.posteriors.gross_error import GrossError
from bayeslat.inference.storage.labelled import read_table, table_group

__all__ = ["read_set_aside", "set_aside_group"]

_WHERE = ["gpu", "stack", "file", "row", "config_id"]


def set_aside_group(errors: Sequence[GrossError]) -> xr.Dataset:
    """Lay the rows out that a fit set aside.

    Parameters
    ----------
    errors : sequence of GrossError

    Returns
    -------
    Dataset
    """
    records = [
        {
            **{name: getattr(error, name) for name in _WHERE},
            "of_stage": stage,
            "ratio": ratio,
            "repeats": error.repeats[stage],
        }
        for error in errors
        for stage, ratio in error.ratio.items()
    ]
    return table_group(pd.DataFrame(records), "gross")


def read_set_aside(stored: xr.Dataset) -> tuple[GrossError, ...]:
    """Rebuild what `set_aside_group` made.

    Parameters
    ----------
    stored : Dataset

    Returns
    -------
    tuple of GrossError

    Raises
    ------
    KeyError
        If something is missing.
    """
    table = read_table(stored, [*_WHERE, "of_stage", "ratio", "repeats"])
    found = []
    for _, rows in table.groupby(_WHERE, sort=False):
        first = rows.iloc[0]
        found.append(
            GrossError(
                **{name: str(first[name]) for name in _WHERE if name != "row"},
                row=int(first["row"]),
                ratio=dict(zip(rows["of_stage"], rows["ratio"].tolist(), strict=True)),
                repeats=dict(zip(rows["of_stage"], rows["repeats"], strict=True)),
                donor=True,
            )
        )
    return tuple(found)
