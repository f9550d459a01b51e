"""What decides whether a stage takes any time, at given configurations."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayeslat.features.hardware import Gpu
from bayeslat.features.spec import Spec

__all__ = ["hurdle_inputs"]


def hurdle_inputs(spec: Spec, stage: str, configs: pd.DataFrame, gpu: Gpu) -> NDArray[np.float64]:
    """Evaluate the features of a stage's hurdle.

    Parameters
    ----------
    spec : Spec
    stage : str
        One with a hurdle.
    configs : DataFrame, one row a config
        Checked.
    gpu : Gpu

    Returns
    -------
    ndarray, shape (config, hurdle_feature)
    """
    hurdle = spec.stages[stage].hurdle
    features = hurdle.features if hurdle else ()
    names = spec.at(configs, gpu)
    table = np.empty((len(configs), len(features)))
    for column, feature in enumerate(features):
        table[:, column] = names.evaluate(feature)
    return table
