"""A calibrated GPU: what its own measurements add to a posterior, beside the donors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayeslat.features.design import Linearisation
from bayeslat.inference.hurdles.hurdle import GroupHurdle
from bayeslat.inference.posteriors.walk import Walk

__all__ = ["ORIGIN", "Target", "TargetStage"]

ORIGIN = ("file", "row", "config_id")
"""What is known of where a measurement was read."""


@dataclass(frozen=True, eq=False)
class TargetStage:
    """One stage of a calibrated GPU.

    Attributes
    ----------
    departure : ndarray, shape (term,)
        Log efficiencies where the physics was linearised, less the shared ones.
    projection : ndarray, shape (term, column)
        What makes the residual columns orthogonal to the shares there.
    effects : ndarray, shape (draw, feature)
    noise_sd : ndarray, shape (draw,)
        Scale of the Student-t noise of a typical config's run, in log latency.
    measured : int
        Rows that hold the stage; without any, the draws are those of the population.
    effective_draws : float
        Kish's effective number of the weighted draws that `effects` were resampled from.
    set_aside : ndarray of int, shape (gross,)
        Rows of the target, by position, whose latency the others make impossible (`sound_rows`):
        the draws do not stand on them.
    set_aside_ratio : ndarray, shape (gross,)
        That latency over what the other rows say it is.
    hurdle : GroupHurdle or None
        Whether the stage takes any time; None where it always does.
    walk : Walk or None
        What rows beyond the training range tell of it; None without any.
    """

    departure: NDArray[np.float64]
    projection: NDArray[np.float64]
    effects: NDArray[np.float64]
    noise_sd: NDArray[np.float64]
    measured: int
    effective_draws: float
    set_aside: NDArray[np.int64]
    set_aside_ratio: NDArray[np.float64]
    hurdle: GroupHurdle | None = None
    walk: Walk | None = None

    def point(self, shared_efficiency: NDArray[np.float64]) -> Linearisation:
        """Return where it was linearised.

        Parameters
        ----------
        shared_efficiency : ndarray, shape (term,)
            Of the stage.
        """
        return Linearisation(shared_efficiency + self.departure, self.projection)


@dataclass(frozen=True, eq=False)
class Target:
    """A GPU, with one stack, that was calibrated and not fitted.

    Attributes
    ----------
    rows : DataFrame, one row a measurement
        All that it was calibrated with, so that later measurements join them: knobs, task, and
        latencies.
    origin : DataFrame, one row a measurement
        Where each was read: `file` (as its user named it), `row` in it (1 is the first) and
        `config_id`, empty where the trace has none.
    stages : mapping of stage to TargetStage
    """

    rows: pd.DataFrame
    origin: pd.DataFrame
    stages: Mapping[str, TargetStage]
