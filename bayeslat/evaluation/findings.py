"""What in measurements a posterior does not expect, with the cure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bayeslat.decisions.evidence import Unmeasured
from bayeslat.decisions.prediction import Prediction
from bayeslat.evaluation.replicates import simulate_tables

__all__ = ["BIAS", "TABLES_PER_DRAW", "Departure", "describe", "find_departures"]

TABLES_PER_DRAW = 4
"""Simulated tables of each draw of the posterior, which differ in their noise."""

BIAS = "median error of the point"
"""Its statistic: point / measured - 1."""
_INTERVALS = {"90 % intervals cover": ("q05", "q95"), "50 % intervals cover": ("q25", "q75")}
_UNLIKE: dict[Unmeasured, str] = {
    "gpu": "this GPU is unlike the donors: fit it with some of its rows",
    "stack": "this stack is unlike what was measured of the GPU: fit it with some of its rows",
    "name": "these rows name no stack, and the GPU was measured with several: name theirs",
    "stage": "this GPU has no fitted rows of a stage, and is unlike the donors: fit it with some",
}


@dataclass(frozen=True)
class Departure:
    """A statistic of measurements outside of what the posterior expects.

    Attributes
    ----------
    statistic : str
    observed : float
    low, high : float
        Least and largest over the simulated tables.
    """

    statistic: str
    observed: float
    low: float
    high: float

    def __str__(self) -> str:
        """Say it with numbers."""
        form = "{:+.1%}" if self.statistic == BIAS else "{:.1%}"
        seen, low, high = (form.format(x) for x in (self.observed, self.low, self.high))
        return f"{self.statistic} {seen} ({low} to {high} expected)"


def find_departures(
    prediction: Prediction, stage: str, latency: NDArray[np.float64], *, seed: int = 0
) -> tuple[Departure, ...]:
    """Compare statistics of measurements with those of tables that the posterior simulates.

    A statistic departs if it is outside the range of all simulated tables: if the posterior is
    right, the chance is 2 / (draws + 1) at most, 0.4 % for 512 draws. Rows of a GPU share its
    error, repeats of a config share theirs: so do those of a simulated table.

    Parameters
    ----------
    prediction : Prediction
        Of one GPU.
    stage : str
        Or `total`.
    latency : ndarray, shape (config,)
        In ms; NaN where nothing was measured.
    seed : int

    Returns
    -------
    tuple of Departure
        Of the coverage of 90 % and 50 % intervals, and the median error of the point.
    """
    held = ~np.isnan(latency)
    if not held.any():
        return ()
    observed = _statistics(prediction, stage, held, latency[held, None])
    expected = np.concatenate(
        [
            _statistics(
                prediction, stage, held, simulate_tables(prediction, stage, held, [seed, k])
            )
            for k in range(TABLES_PER_DRAW)
        ],
        axis=1,
    )
    return tuple(
        Departure(name, float(seen[0]), float(tables.min()), float(tables.max()))
        for name, seen, tables in zip((*_INTERVALS, BIAS), observed, expected, strict=True)
        if not tables.min() <= seen[0] <= tables.max()
    )


def describe(departures: Sequence[Departure], *, unmeasured: Unmeasured, beyond: bool) -> str:
    """Say how measurements depart, and what to do about it.

    Parameters
    ----------
    departures : sequence of Departure
        One or more, of one GPU and stage.
    unmeasured : Unmeasured
        What the posterior has no rows of.
    beyond : bool
        Whether the rows are those beyond the training range.
    """
    cure = _cure(departures, unmeasured=unmeasured, beyond=beyond)
    return f"{', '.join(map(str, departures))}; {cure}"


def _cure(departures: Sequence[Departure], *, unmeasured: Unmeasured, beyond: bool) -> str:
    if all(each.statistic != BIAS and each.observed > each.high for each in departures):
        own = "stack" if unmeasured == "stack" else "GPU"
        narrow = "fitted rows out there" if beyond else f"measured rows of this {own}"
        return f"they are wider than they need be: {narrow} narrow them"
    if unmeasured:
        return _UNLIKE[unmeasured]
    if beyond:
        return "these rows leave the range of the fit: fit rows that span it"
    return (
        "give the stage a physics term or residual feature that it lacks, or fit these rows too, "
        "if the fit did not have them"
    )


def _statistics(
    prediction: Prediction, stage: str, rows: NDArray[np.bool_], tables: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Coverages and median error of each table. Shapes (row, table) to (statistic, table)."""
    frame = prediction.frame[rows]

    def column(name: str) -> NDArray[np.float64]:
        return frame[f"{stage}_{name}_ms"].to_numpy()[:, None]

    covers = [
        ((column(low) <= tables) & (tables <= column(high))).mean(axis=0)
        for low, high in _INTERVALS.values()
    ]
    return np.stack([*covers, np.median(column("point") / tables - 1.0, axis=0)])
