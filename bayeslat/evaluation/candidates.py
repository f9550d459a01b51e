"""What a GPU could measure next: the configurations of all rows, with the settings it keeps."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

__all__ = ["candidate_configs"]

_ENOUGH = 10  # configurations: a knob that stands still in so many is not to be moved


def candidate_configs(
    rows: pd.DataFrame, own: pd.DataFrame, columns: Sequence[str]
) -> pd.DataFrame:
    """Return the configurations of all rows, each once, with the GPU's own settings kept.

    A knob stays at the GPU's value where its rows, of ten configurations or more, never move it;
    with fewer, where no GPU and stack moves it either, as the bytes of a value on devices that each
    compute in one type.

    Parameters
    ----------
    rows : DataFrame, one row a measurement
        Of all GPUs.
    own : DataFrame, one row a measurement
        Of the GPU; none of its settings are known without any.
    columns : sequence of str
        What tells configurations apart.

    Returns
    -------
    DataFrame, one row a config
    """
    kept = {name: own[name].iloc[0] for name in columns if own[name].nunique(dropna=False) == 1}
    if len(own[list(columns)].drop_duplicates()) < _ENOUGH:
        groups = rows.groupby([name for name in ("gpu", "stack") if name in rows], dropna=False)
        moved = groups[list(columns)].nunique(dropna=False).max() > 1
        kept = {name: value for name, value in kept.items() if not moved[name]}
    return rows[list(columns)].assign(**kept).drop_duplicates(ignore_index=True)
