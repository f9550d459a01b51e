"""Rows that name another GPU than the one that they are predicted for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import pandas as pd

from bayeslat.counted import counted
from bayeslat.features.hardware import HardwareTable
from bayeslat.traces.cells import blank
from bayeslat.traces.names import GPU

__all__ = ["count_other_gpus", "other_gpus_line"]

_SHOWN = 3


def count_other_gpus(frame: pd.DataFrame, gpu: str, hardware: HardwareTable) -> dict[str, int]:
    """Count the rows that name another GPU.

    Parameters
    ----------
    frame : DataFrame, one row a config
        It may have no column `gpu`, or cells without a name.
    gpu : str
        Key of the one that is meant.
    hardware : HardwareTable
        It knows the aliases.

    Returns
    -------
    dict of str to int
        By key, or by the name itself where the table lacks it; the most rows first.
    """
    if GPU not in frame:
        return {}
    named = Counter(frame.loc[~blank(frame[GPU]), GPU].astype(str))
    found: Counter[str] = Counter()
    for name, rows in named.items():
        entry = hardware.find(name)
        found[name if entry is None else entry.key] += rows
    del found[gpu]
    return dict(found.most_common())


def other_gpus_line(others: Mapping[str, int], rows: int, gpu: str) -> str:
    """Say which rows name another GPU.

    Parameters
    ----------
    others : mapping of str to int
        Of `count_other_gpus`.
    rows : int
        Of the table.
    gpu : str
        Key of the one that they are predicted for.

    Examples
    --------
    >>> other_gpus_line({"a100_sxm": 400}, 800, "h100_sxm")
    'Other GPUs: 400 of 800 rows name another (a100_sxm), and are predicted as h100_sxm'
    """
    named = list(others)[:_SHOWN]
    more = [f"{len(others) - _SHOWN:,} more"] if len(others) > _SHOWN else []
    count = sum(others.values())
    verbs = ("names", "is") if count == 1 else ("name", "are")
    return (
        f"Other GPUs: {count:,} of {counted(rows, 'row')} {verbs[0]} another "
        f"({', '.join([*named, *more])}), and {verbs[1]} predicted as {gpu}"
    )
