"""A model of one stage, or of the total, that predicts a point."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

__all__ = ["PointModel"]


class PointModel(Protocol):
    """Predicts one stage, or the total."""

    def ms(self, configs: pd.DataFrame) -> NDArray[np.float64]:
        """Latency in ms, positive and finite. Shape (config,)."""
        ...
