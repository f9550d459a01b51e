"""Gross errors among the rows that a posterior does not hold: it was not fitted to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from bayeslat.errors import ConvergenceError
from bayeslat.features.gpu import Gpu
from bayeslat.inference.calibration.calibrate import calibrate_group
from bayeslat.inference.posteriors.gross_errors import GrossError, find_gross_errors
from bayeslat.inference.posteriors.origin import origin_of
from bayeslat.inference.posteriors.posterior import PosteriorData
from bayeslat.inference.rows.repeats import number_configs
from bayeslat.inference.rows.stage_rows import latency_of

__all__ = ["GrossRow", "find_gross_rows"]

_MOST_ROWS = 2000  # of a part: setting rows aside takes time by the square of their number


@dataclass(frozen=True)
class GrossRow:
    """A row that the posterior does not hold, and that its GPU's other rows make impossible.

    Attributes
    ----------
    error : GrossError
    measured_ms : mapping of stage to float
        In the stages where it is impossible.
    """

    error: GrossError
    measured_ms: Mapping[str, float]


def find_gross_rows(
    data: PosteriorData, rows: pd.DataFrame, gpu: Gpu, stack: str, *, seed: int = 0
) -> tuple[GrossRow, ...]:
    """List the rows that would be set aside if the GPU were calibrated with all of them.

    Parameters
    ----------
    data : PosteriorData
    rows : DataFrame, one row a measurement
        Checked; of this GPU and stack alone. Those that the posterior holds are passed over.
    gpu : Gpu
    stack : str
        Empty where traces name none.
    seed : int

    Returns
    -------
    tuple of GrossRow
        In the order of the rows; none of a posterior that can calibrate nothing. Of many rows,
        parts are looked at, with the repeats of a configuration in one. At most a quarter of the
        rows of a part can be told: of a GPU whose other rows are in the fit, none of three.
    """
    config = number_configs(rows[[name for name in data.reference if name in rows]])
    parts = -(-len(rows) // _MOST_ROWS)
    places, found = _places(rows), {}
    latencies = {stage: latency_of(data.spec, stage, rows) for stage in data.stages}
    for part in range(parts):
        own = np.flatnonzero(config % parts == part)
        read = dict(zip(_places(rows.iloc[own]), own.tolist(), strict=True))
        for error in _later_errors(data, rows.iloc[own], gpu, stack, seed):
            at = read[error.file, error.row]
            # A part of a table that was not read from a file numbers its rows anew.
            error = replace(error, file=places[at][0], row=places[at][1])
            ms = {stage: float(latencies[stage][at]) for stage in error.ratio}
            found[at] = GrossRow(error, ms)
    return tuple(found[at] for at in sorted(found))


def _places(rows: pd.DataFrame) -> list[tuple[str, int]]:
    """Tell the file of each row, and its number there."""
    origin = origin_of(rows)
    return list(zip(origin["file"], origin["row"].tolist(), strict=True))


def _later_errors(
    data: PosteriorData, rows: pd.DataFrame, gpu: Gpu, stack: str, seed: int
) -> tuple[GrossError, ...]:
    """Calibrate with further rows, and list those that are set aside."""
    known = data.targets.get((gpu.key, stack))
    try:
        calibrated = calibrate_group(data, rows, gpu, stack, seed=seed)
    except ConvergenceError:
        return ()  # told by the posterior's problems
    first = 0 if known is None else len(known.rows)
    return find_gross_errors(calibrated, gpu.key, stack, first=first)
