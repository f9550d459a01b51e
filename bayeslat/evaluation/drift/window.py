"""A window: new rows of a group in one stage, as the regression that its posterior knows."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayeslat.decisions.group_view import view_group
from bayeslat.decisions.unseen_task import is_unseen
from bayeslat.features.gpu import Gpu
from bayeslat.features.tasks import task_names
from bayeslat.features.thinning import evenly
from bayeslat.inference.calibration.even_rows import even_rows
from bayeslat.inference.posteriors.gross_errors import sound_rows_of
from bayeslat.inference.posteriors.posterior import PosteriorData
from bayeslat.inference.rows.repeats import number_configs
from bayeslat.inference.rows.stage_rows import StageRows, held_rows, latency_of, least_ms
from bayeslat.model.student_t import information

__all__ = ["MOST_ROWS", "Window", "WindowCounts", "take_window"]

MOST_ROWS = 2000
"""Rows that are judged; of more, so many evenly spread in time."""
_MOST_OWN = 300  # rows of the group that stand for those of its posterior


@dataclass(frozen=True)
class WindowCounts:
    """What became of a window's rows in one stage.

    Attributes
    ----------
    rows : int
        That hold a latency of the stage.
    below_hurdle : int
        That took no time; they are no rows of the regression.
    beyond : int
        Whose configuration leaves the training range, or whose task was not fitted.
    beyond_in : tuple of str
        In what.
    judged : int
    """

    rows: int
    below_hurdle: int
    beyond: int
    beyond_in: tuple[str, ...]
    judged: int


@dataclass(frozen=True)
class Window:
    """Rows in order of time, over the noise of a typical draw: under no drift their noise is 1.

    Attributes
    ----------
    counts : WindowCounts
    design : ndarray, shape (row, feature)
        Shares of the physics terms, then residual columns, over the noise shape.
    error : ndarray, shape (row,)
        Response less what the mean effects say, over the typical noise.
    config : ndarray of int, shape (row,)
        Repeats of a configuration have the same number.
    position : ndarray of int, shape (row,)
        Of each row among the rows of the group, in order of time.
    terms : tuple of str
        Physics terms: the first features.
    residual_size : ndarray, shape (column,)
        Prior size of each residual column's effect, relative to a slope's.
    departures : ndarray, shape (draw, feature)
        Draws of the effects less their mean, over the typical noise.
    noise : ndarray, shape (draw,)
        Draws of the noise over the typical one.
    noise_sd : float
        The typical noise, in log latency.
    dof : float
        Of the Student-t noise.
    allowance : float
        How far the fit may be off in each direction of the features, over the typical noise: root
        mean square over the rows.
    places : ndarray, shape (row, coordinate)
        Of the configurations, in half widths of the training range.
    noise_shared : float
        What part of the noise's variance is a configuration's own, as the fit has it.
    own_places : ndarray, shape (own, coordinate)
        Of rows of the group that its posterior stands on, or of others like them.
    taken_up : ndarray, shape (row, own)
        By how much an error of each of them moves what the effects say of each row.
    """

    counts: WindowCounts
    design: NDArray[np.float64]
    error: NDArray[np.float64]
    config: NDArray[np.int64]
    position: NDArray[np.int64]
    terms: tuple[str, ...]
    residual_size: NDArray[np.float64]
    departures: NDArray[np.float64]
    noise: NDArray[np.float64]
    noise_sd: float
    dof: float
    places: NDArray[np.float64]
    noise_shared: float
    own_places: NDArray[np.float64]
    taken_up: NDArray[np.float64]
    allowance: float = 0.0

    def __len__(self) -> int:
        return len(self.error)

    @cached_property
    def allowed(self) -> NDArray[np.float64]:
        """What the fit may be off by, as effects of independent normals. Shape (feature, axis).

        Zellner's (1986) g-prior: errors in the span of the features, in each of its directions of
        the allowance's root mean square over the rows.
        """
        _, values, vectors = np.linalg.svd(self.design, full_matrices=False)
        held = values > 1e-6 * max(float(values.max(initial=0.0)), 1e-300)
        size = self.allowance * np.sqrt(len(self))
        roots: NDArray[np.float64] = vectors[held].T * (size / values[held])
        return roots


def take_window(
    data: PosteriorData,
    stage: str,
    frame: pd.DataFrame,
    gpu: Gpu,
    stack: str,
    allowance: float = 0.0,
    most: int = MOST_ROWS,
) -> Window:
    """Linearise the rows of a group where its posterior was linearised.

    Parameters
    ----------
    data : PosteriorData
        Holds the group: fitted, or calibrated.
    stage : str
    frame : DataFrame, one row a measurement
        Of the group, in order of time.
    gpu : Gpu
    stack : str
    allowance : float
        How far the fit may be off, over the noise.
    most : int
        Rows that are judged; of more, so many evenly spread in time.

    Returns
    -------
    Window
        Of the rows inside the training range (and above the hurdle, in a stage with one).
    """
    part = data.stages[stage]
    view = view_group(data, stage, gpu, stack, np.random.default_rng(0))  # known: nothing is drawn
    labels = number_configs(frame[data.reference.columns.to_list()])
    measured = int((~np.isnan(latency_of(data.spec, stage, frame))).sum())
    rows = held_rows(data.spec, stage, frame, gpu, labels)
    excess = view.basis.excess(rows.inputs.raw)
    unseen = is_unseen(task_names(rows.inputs.task, len(rows)), part.basis.tasks)
    out = np.column_stack([excess > 0, unseen])
    directions = (*part.basis.directions, "task")
    inside = np.flatnonzero(~out.any(axis=1))
    kept = inside[evenly(len(inside), most)] if len(inside) else inside
    counts = WindowCounts(
        rows=measured,
        below_hurdle=measured - len(rows),
        beyond=len(rows) - len(inside),
        beyond_in=tuple(
            name for name, left in zip(directions, out.any(axis=0), strict=True) if left
        ),
        judged=len(kept),
    )
    held = _subset(rows, kept)
    design, response = even_rows(part, view.point, view.departure, held)
    mean = view.effects.mean(axis=0)
    noise_sd = float(np.exp(np.log(view.noise_sd).mean()))
    departures = (view.effects - mean) / noise_sd
    own, counted = _own_rows(data, stage, gpu, stack)
    own_design = even_rows(part, view.point, view.departure, own)[0]
    gain = counted * np.atleast_2d(np.cov(departures.T)) @ own_design.T
    return Window(
        counts=counts,
        design=design,
        error=(response - design @ mean) / noise_sd,
        config=np.unique(held.config, return_inverse=True)[1],
        position=held.position,
        terms=tuple(data.spec.stages[stage].physics),
        residual_size=part.basis.multiplier,
        departures=departures,
        noise=view.noise_sd / noise_sd,
        noise_sd=noise_sd,
        dof=part.noise_dof,
        places=view.basis.places(held.inputs.raw),
        noise_shared=part.noise_shared,
        own_places=view.basis.places(own.inputs.raw),
        taken_up=design @ gain,
        allowance=allowance,
    )


def _own_rows(data: PosteriorData, stage: str, gpu: Gpu, stack: str) -> tuple[StageRows, float]:
    """Rows that the posterior of a group stands on, and for how many each counts.

    Those that it was calibrated with. A fit keeps none of its own: configurations of its grid
    stand for them.
    """
    part, target = data.stages[stage], data.targets.get((gpu.key, stack))
    if target is not None:
        frame = sound_rows_of(data.spec, stage, target)
        rows = float(len(frame))
    else:
        taking_time = 1.0 + least_ms(data.spec, stage)
        frame = data.reference.assign(**{data.spec.stages[stage].column: taking_time})
        rows = float(part.problem.counted.rows[data.groups.index((gpu.key, stack))])
    frame = frame.iloc[evenly(len(frame), _MOST_OWN)] if len(frame) else frame
    labels = np.arange(len(frame))
    held = held_rows(data.spec, stage, frame.reset_index(drop=True), gpu, labels)
    return held, information(part.noise_dof) * rows / max(len(held), 1)


def _subset(rows: StageRows, kept: NDArray[np.int64]) -> StageRows:
    """Take some of the rows."""
    task = rows.inputs.task
    inputs = type(rows.inputs)(
        rows.inputs.terms_ms[kept],
        rows.inputs.raw[kept],
        None if task is None else [task[i] for i in kept],
    )
    return StageRows(
        rows.gpu, inputs, rows.latency_ms[kept], rows.config[kept], rows.position[kept]
    )
