"""Which rows of the donors are no gross errors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bayeslat.features.thinning import evenly
from bayeslat.inference.calibration.sound_rows import (
    IMPOSSIBLE,
    LEAST_LEFT,
    MOST_IMPOSSIBLE,
    spare_usual,
)
from bayeslat.inference.rows.anchor import Anchor
from bayeslat.inference.rows.pilot import fit_pilot
from bayeslat.inference.rows.plan import FitPlan
from bayeslat.inference.rows.regression import first_anchor, linear_rows, pilot_sd
from bayeslat.inference.rows.repeats import row_weights
from bayeslat.inference.rows.stage_rows import StageRows
from bayeslat.inference.rows.stage_table import StageTable, stage_table

__all__ = ["LEAST_RATIO", "SoundStage", "sound_stage"]

LEAST_RATIO = 5.0  # from what the other rows say: less is a slow run, or what physics misses
_FEWEST_ROWS = 10  # of a group, to say something about its others
_FIRST = 0.5  # part of the rows that is looked at first
_MOST_STEPS = 10
_ROWS_FOR_FIT = 2000  # of a group; the others are judged by these
_DOF = 4.0


@dataclass(frozen=True)
class SoundStage:
    """A stage's rows without gross errors.

    Attributes
    ----------
    table : StageTable
    anchor : Anchor
        Of these rows.
    set_aside : mapping of int to float
        The other rows, by their position in the table: latency over what the sound ones of their
        group say it is.
    """

    table: StageTable
    anchor: Anchor
    set_aside: Mapping[int, float]


def sound_stage(
    plan: FitPlan, stage: str, set_aside: Mapping[int, float] | None = None
) -> SoundStage:
    """Gather a stage's rows, and leave out those that the others of their group make impossible.

    A row that is set aside counts as one that does not hold the stage. None is in a stage with a
    hurdle: where requests wait for others, there is always one that waits longer.

    Parameters
    ----------
    plan : FitPlan
    stage : str
    set_aside : mapping of int to float, optional
        Gross errors, where they are known, as `SoundStage` has them; looked for by default.

    Returns
    -------
    SoundStage

    Raises
    ------
    InputError
        If no row has a latency of this stage, or none is above its hurdle.
    ConvergenceError
        If the physics has no reachable mode.
    """
    table = stage_table(plan, stage)
    anchor = first_anchor(table)
    part = plan.spec.stages[stage]
    if set_aside is None:
        set_aside = {} if part.hurdle else _gross(table, anchor)
    if set_aside:
        latency = plan.frame[part.column].to_numpy(dtype=float, na_value=np.nan, copy=True)
        latency[list(set_aside)] = np.nan
        table = stage_table(replace(plan, frame=plan.frame.assign(**{part.column: latency})), stage)
        anchor = first_anchor(table)
    return SoundStage(table, anchor, set_aside)


def _gross(table: StageTable, anchor: Anchor) -> dict[int, float]:
    """Find the gross errors of all groups: ratio by position."""
    found: dict[int, float] = {}
    departures = dict(zip(table.grids, anchor.departure, strict=True))
    for rows, design, response in zip(table.rows, *linear_rows(table, anchor), strict=True):
        if len(rows) < _FEWEST_ROWS:
            continue
        departure, prior_sd = departures[rows.gpu], pilot_sd(table)
        missed = response - design[:, : len(departure)] @ departure
        if len(rows) < design.shape[1] / _FIRST:  # the first of them would settle no correction
            design, prior_sd = design[:, : len(departure)], prior_sd[: len(departure)]
        sound, ratio = _judge(rows, design, response, missed, prior_sd)
        found |= dict(zip(rows.position[~sound].tolist(), ratio[~sound].tolist(), strict=True))
    return found


def _judge(
    rows: StageRows,
    design: NDArray[np.float64],
    response: NDArray[np.float64],
    missed: NDArray[np.float64],
    prior_sd: NDArray[np.float64],
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Tell the sound rows of a group, and every row's latency over what they say it is.

    From the half that physics, which bends to no row, misses least: a fit of all would follow a
    fifth of them that are wrong together. All that this does not make impossible joins, in steps
    (forward search: Atkinson and Riani 2000, Robust Diagnostic Regression Analysis, section 2.2).

    Parameters
    ----------
    rows : StageRows
    design : ndarray, shape (row, feature)
    response, missed : ndarray, shape (row,)
        Log latency less the physics: for the regression, and at the anchor.
    prior_sd : ndarray, shape (feature,)
    """
    far = np.abs(missed - np.median(missed))
    sound = far <= np.quantile(far, _FIRST)
    for _ in range(_MOST_STEPS):
        before = sound
        error, sds = _deletion_error(rows, design, response, sound, prior_sd)
        sound = (sds < IMPOSSIBLE) | (np.abs(error) < np.log(LEAST_RATIO))
        if np.array_equal(sound, before):
            break
    sound = spare_usual(sound, sds)
    if np.count_nonzero(~sound) > MOST_IMPOSSIBLE * len(sound):
        sound[:] = True
    return sound, np.exp(error)


def _deletion_error(
    rows: StageRows,
    design: NDArray[np.float64],
    response: NDArray[np.float64],
    sound: NDArray[np.bool_],
    prior_sd: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """How far each row is from what the other sound rows say, in log latency and in noise sds."""
    used = np.flatnonzero(sound)
    used = used[evenly(len(used), _ROWS_FOR_FIT)]
    part, once = design[used], row_weights(rows.config[used], 1.0)
    pilot = fit_pilot(part, response[used], once, prior_sd, _DOF)
    covariance = np.linalg.inv((part.T * once) @ part + np.diag((pilot.sd / prior_sd) ** 2))
    unsure = np.sum(design @ covariance * design, axis=1)
    unsure[used] *= -once
    own = np.sqrt(np.maximum(1.0 + unsure, LEAST_LEFT))
    error = response - design @ pilot.effect
    return error, np.abs(error) / (pilot.sd * own)
