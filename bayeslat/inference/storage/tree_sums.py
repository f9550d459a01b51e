"""Sufficient statistics in a tree of labelled arrays: of a fit, and window by window."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr

from bayeslat.inference.rows.windows import StageSums, Window
from bayeslat.inference.storage.labelled import Variables, label
from bayeslat.model.statistics import Statistics

__all__ = ["read_sums", "read_windows", "sums_group", "window_groups"]

_SUMS: Mapping[str, tuple[str, ...]] = {
    "gram": ("group", "feature", "other_feature"),
    "moment": ("group", "feature"),
    "square": ("group",),
    "rows": ("group",),
}
_DESCRIPTIONS: Mapping[str, str] = {
    "gram": "Z'Z: cross products of the design, which with moment, square and rows replace rows",
    "moment": "Z'y",
    "square": "y'y",
    "rows": "number of rows, of which repeats count for less than one",
    "measured": "number of rows",
    "table_rows": "number of rows of the table, whichever stages they hold",
    "beyond": "rows beyond the training range in a residual feature",
}


def sums_group(
    statistics: Statistics,
    measured: Sequence[int],
    features: Sequence[str],
    groups: Sequence[str],
) -> xr.Dataset:
    """Lay a stage's statistics out.

    Parameters
    ----------
    statistics : Statistics
    measured : sequence of int, shape (group,)
    features : sequence of str
    groups : sequence of str
        Labels of the groups.

    Returns
    -------
    Dataset
    """
    variables: Variables = {
        name: (dimensions, getattr(statistics, name)) for name, dimensions in _SUMS.items()
    }
    variables["measured"] = (("group",), np.array(measured))
    return label(variables, {"feature": features, "group": groups}, _DESCRIPTIONS)


def read_sums(stored: xr.Dataset) -> tuple[Statistics, tuple[int, ...]]:
    """Rebuild what `sums_group` made.

    Parameters
    ----------
    stored : Dataset

    Returns
    -------
    statistics : Statistics
    measured : tuple over group of int

    Raises
    ------
    KeyError
        If something is missing.
    """
    statistics = Statistics(*(stored[name].to_numpy() for name in _SUMS))
    return statistics, tuple(stored["measured"].to_numpy().tolist())


def window_groups(
    windows: Mapping[str, Window],
    features: Mapping[str, Sequence[str]],
    groups: Sequence[str],
) -> dict[str, xr.Dataset]:
    """Lay windows out side by side: `windows`, with a group a stage below it.

    Parameters
    ----------
    windows : mapping of str to Window
    features : mapping of stage to sequence of str
    groups : sequence of str

    Returns
    -------
    dict of str to Dataset
        Nothing without windows.
    """
    if not windows:
        return {}
    names, held = list(windows), list(windows.values())
    table_rows = np.array([window.rows for window in held])
    found = {
        "windows": label(
            {"table_rows": (("window",), table_rows)}, {"window": names}, _DESCRIPTIONS
        )
    }
    for stage, columns in features.items():
        parts = [window.stages[stage] for window in held]
        variables: Variables = {
            name: (("window", *dimensions), np.stack([getattr(p.statistics, name) for p in parts]))
            for name, dimensions in _SUMS.items()
        }
        variables["measured"] = (("window", "group"), np.stack([part.measured for part in parts]))
        variables["beyond"] = (("window",), np.array([part.beyond for part in parts]))
        labels = {"window": names, "feature": columns, "group": groups}
        found[f"windows/{stage}"] = label(variables, labels, _DESCRIPTIONS)
    return found


def read_windows(tree: xr.DataTree, stages: Sequence[str]) -> dict[str, Window]:
    """Rebuild what `window_groups` made; nothing where there are none.

    Parameters
    ----------
    tree : DataTree
        The root.
    stages : sequence of str

    Raises
    ------
    KeyError
        If something is missing.
    """
    if "windows" not in tree.children:
        return {}
    node = tree["windows"]
    sums = {stage: _read_stage(node[stage].dataset) for stage in stages}
    rows = node.dataset["table_rows"].to_numpy().tolist()
    names = node.dataset["window"].to_numpy().tolist()
    return {
        str(name): Window(int(count), {stage: sums[stage][at] for stage in stages})
        for at, (name, count) in enumerate(zip(names, rows, strict=True))
    }


def _read_stage(stored: xr.Dataset) -> list[StageSums]:
    """Rebuild a stage's sums, one a window."""
    arrays = [stored[name].to_numpy() for name in _SUMS]
    measured, beyond = stored["measured"].to_numpy(), stored["beyond"].to_numpy()
    return [
        StageSums(Statistics(*(array[at] for array in arrays)), measured[at], int(beyond[at]))
        for at in range(len(beyond))
    ]
