"""Arrays with named dimensions and labels: how every group of the posterior file is laid out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

__all__ = ["Variables", "label", "read_table", "table_group"]

type Variables = dict[str, tuple[tuple[str, ...], NDArray[Any]]]
"""Dimension names and values, by the name of the variable."""


def label(
    variables: Variables,
    labels: Mapping[str, Sequence[str]],
    descriptions: Mapping[str, str] | None = None,
) -> xr.Dataset:
    """Label the dimensions that some variable has.

    Parameters
    ----------
    variables : mapping of str to (dimension names, ndarray)
    labels : mapping of dimension name to sequence of str
        Those that no variable has are left out; dimensions without labels are counted only.
    descriptions : mapping of variable name to str, optional
        What a variable is, for readers of the file.

    Returns
    -------
    Dataset
    """
    used = {dim for dims, _ in variables.values() for dim in dims}
    coords = {dim: np.array(names, dtype=object) for dim, names in labels.items() if dim in used}
    dataset = xr.Dataset(variables, coords=coords)
    for name, text in (descriptions or {}).items():
        if name in dataset:
            dataset[name].attrs["description"] = text
    return dataset


def table_group(table: pd.DataFrame, dim: str) -> xr.Dataset:
    """Lay a table out along a dimension.

    Parameters
    ----------
    table : DataFrame
    dim : str

    Returns
    -------
    Dataset
    """
    # NetCDF has no arrays without elements.
    held = table.items() if len(table) else ()
    return xr.Dataset({name: (dim, _plain(column)) for name, column in held})


def read_table(stored: xr.Dataset, columns: Sequence[str]) -> pd.DataFrame:
    """Rebuild a table.

    Parameters
    ----------
    stored : Dataset
        What `table_group` made.
    columns : sequence of str
        Those to read, where they were stored: one called as the dimension is a coordinate.

    Returns
    -------
    DataFrame
    """
    held: Mapping[Any, Any] = stored.variables
    return pd.DataFrame({name: held[name].to_numpy() for name in columns if name in held})


def _plain(column: pd.Series[Any]) -> NDArray[Any]:
    """Numbers as they are, anything else as text."""
    if pd.api.types.is_numeric_dtype(column):
        return column.to_numpy()
    return column.astype(object).to_numpy()
