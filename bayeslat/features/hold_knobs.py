"""Configurations beyond the training range, brought to its edge."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

__all__ = ["hold_knobs"]


def hold_knobs(
    configs: pd.DataFrame, reference: pd.DataFrame, knobs: Sequence[str]
) -> pd.DataFrame:
    """Return the configs with each knob at the nearest value inside its training range.

    Parameters
    ----------
    configs : DataFrame, one row a config
    reference : DataFrame, one row a config
        Spans the training range of every knob.
    knobs : sequence of str

    Returns
    -------
    DataFrame, one row a config
        `configs` itself where nothing moves.
    """
    held = {}
    for knob in knobs:
        values = configs[knob].to_numpy()
        inside = np.clip(values, reference[knob].min(), reference[knob].max())
        if np.any(inside != values):
            held[knob] = inside
    return configs.assign(**held) if held else configs
