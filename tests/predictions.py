"""Predictions made by hand, of a GPU that was measured in all stages."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from bayeslat.decisions.evidence import Evidence
from bayeslat.decisions.prediction import Prediction, StagePrediction

MEASURED = Evidence("l40s", "", ("",), unmeasured=())


def prediction_of(
    configs: pd.DataFrame,
    stages: Mapping[str, StagePrediction],
    noise_correlation: pd.DataFrame | None = None,
) -> Prediction:
    """Put stages together."""
    rests_on = np.zeros(len(configs), dtype=np.int64)
    return Prediction(configs, stages, (MEASURED,), rests_on, noise_correlation)
