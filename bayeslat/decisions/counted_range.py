"""How often a stage runs in one request, and how often it was seen to."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayeslat.features.design import counting_knobs
from bayeslat.inference.posteriors.posterior import PosteriorData

__all__ = ["beyond_counts", "counted_range"]


def counted_range(data: PosteriorData, stage: str, gpu: str) -> dict[str, tuple[float, float]]:
    """Return the range of the knobs that only say how often a stage runs.

    The physics of one run does not depend on them, so nothing widens beyond: that one run in a
    thousand takes as long as one in ten is the spec's word, which no row bears out.

    Parameters
    ----------
    data : PosteriorData
    stage : str
    gpu : str
        Key.

    Returns
    -------
    dict of str to (float, float)
        By knob: least and most of the fit and of the GPU's calibrations.
    """
    own = [target.rows for (key, _), target in data.targets.items() if key == gpu]
    ranges = {}
    for knob in counting_knobs(data.spec, stage):
        values = np.concatenate([table[knob].to_numpy(float) for table in (data.reference, *own)])
        ranges[knob] = float(values.min()), float(values.max())
    return ranges


def beyond_counts(
    data: PosteriorData, stage: str, configs: pd.DataFrame, gpu: str
) -> NDArray[np.float64]:
    """Tell which configs leave the range of each such knob: 1, or 0. Shape (config, knob).

    Parameters
    ----------
    data : PosteriorData
    stage : str
    configs : DataFrame, one row a config
    gpu : str
        Key.
    """
    beyond = np.zeros((len(configs), 0))
    for knob, (low, high) in counted_range(data, stage, gpu).items():
        values = configs[knob].to_numpy(float)
        beyond = np.column_stack([beyond, (values < low) | (values > high)])
    return beyond
