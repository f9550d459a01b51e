"""Sufficient statistics in a tree of labelled arrays: of a fit, and window by window."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr

from bayeslat.inference.labelled import Variables, label
from bayeslat.inference.windows import StageSums, Window
from bayeslat.model.statistics import Statistics

__all__ = ["read_sums", "read_windows", "sums_group", "window_groups"]

_SUMS = ("gram", "moment", "square", "rows")
_DESCRIPTIONS: Mapping[str, str] = {
    "gram": "Z'Z: cross products of the design, which with moment, square and rows replace rows",
    "moment": "Z'y",
    "square": "y'y",
    "rows": "number of rows, of which repeats count for less than one",
    "measured": "number of rows",
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
        "gram": (("group", "feature", "other_feature"), statistics.gram),
        "moment": (("group", "feature"), statistics.moment),
        "square": (("group",), statistics.square),
        "rows": (("group",), statistics.rows),
        "measured": (("group",), np.array(measured)),
    }
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
    """Lay windows out: `windows/<number>`, below it a group a stage.

    Parameters
    ----------
    windows : mapping of str to Window
    features : mapping of stage to sequence of str
    groups : sequence of str

    Returns
    -------
    dict of str to Dataset
    """
    found = {}
    for number, (name, window) in enumerate(windows.items()):
        place = f"windows/{number}"
        found[place] = xr.Dataset(attrs={"name": name, "rows": window.rows})
        for stage, part in window.stages.items():
            measured = part.measured.tolist()
            sums = sums_group(part.statistics, measured, features[stage], groups)
            found[f"{place}/{stage}"] = sums.assign_attrs(beyond=part.beyond)
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
    nodes = tree["windows"].children
    windows = {}
    for number in sorted(nodes, key=int):
        node = nodes[number]
        sums = {}
        for stage in stages:
            stored = node[stage].dataset
            statistics, measured = read_sums(stored)
            sums[stage] = StageSums(statistics, np.array(measured), int(stored.attrs["beyond"]))
        windows[str(node.attrs["name"])] = Window(int(node.attrs["rows"]), sums)
    return windows
