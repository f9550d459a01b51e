"""Drift: what measurements of one configuration, over and over, say about the machine."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd
from pydantic import JsonValue

from bayeslat.traces.cells import is_true
from bayeslat.traces.names import COLLECTED_AT
from bayeslat.traces.times import read_times

__all__ = ["TOLERATED_DRIFT", "Drift", "reference_drift"]

TOLERATED_DRIFT = 0.05
"""Drift of the reference, as a part of its latency, that is no reason to say anything."""
_FEWEST = 4


@dataclass(frozen=True)
class Drift:
    """Change of the reference's latency over a collection.

    Attributes
    ----------
    measurements : int
    hours : float
        From the first to the last of them.
    change : float
        From start to end, as a part of the latency: the median slope over time.
    change_se : float
        Its standard error from the scatter about that slope.
    scatter : float
        Standard deviation about that slope, robust, as a part of the latency.
    """

    measurements: int
    hours: float
    change: float
    change_se: float
    scatter: float

    @property
    def tolerable(self) -> bool:
        """Whether the change is small, or no larger than the scatter explains."""
        return abs(self.change) <= max(TOLERATED_DRIFT, 2 * self.change_se)

    def record(self) -> dict[str, JsonValue]:
        """Return the values for a trace's metadata."""
        return {name: round(value, 5) for name, value in asdict(self).items()}


def reference_drift(frame: pd.DataFrame) -> Drift | None:
    """Return the drift of a collected trace.

    The slope of the log latency over time is the median over all pairs of measurements (Theil
    1950, Sen 1968), which single slow ones do not move.

    Parameters
    ----------
    frame : DataFrame
        A collected trace of one device.

    Returns
    -------
    Drift or None
        None where the reference was measured fewer than four times that are known.
    """
    if COLLECTED_AT not in frame:
        return None
    moments = read_times(frame[COLLECTED_AT])
    held = is_true(frame["reference"]) & (frame["stage_sum_ms"].notna() & moments.notna())
    rows, moments = frame[held], moments[held]
    if len(rows) < _FEWEST:
        return None
    hours = (moments - moments.min()).dt.total_seconds().to_numpy() / 3600
    logs = np.log(rows["stage_sum_ms"].to_numpy(dtype=float))
    first, second = np.triu_indices(len(rows), k=1)
    apart = hours[second] != hours[first]
    if not apart.any():
        return None
    steps = (logs[second] - logs[first])[apart] / (hours[second] - hours[first])[apart]
    slope = float(np.median(steps))
    residuals = logs - slope * hours
    scatter = 1.4826 * float(np.median(np.abs(residuals - np.median(residuals))))
    spread = float(np.sqrt(((hours - hours.mean()) ** 2).sum()))
    length = float(hours.max())
    return Drift(
        measurements=len(rows),
        hours=length,
        change=float(np.expm1(slope * length)),
        change_se=scatter / spread * length,
        scatter=scatter,
    )
