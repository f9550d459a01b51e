"""From a posterior to the linear Gaussian problem of choosing measurements."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayeslat.decisions.group_view import GroupView, view_group
from bayeslat.decisions.predict_stage import correction_size, held_design
from bayeslat.decisions.run_noise import normal_sd
from bayeslat.decisions.suggest.departures import Departures, departures_at
from bayeslat.decisions.suggest.neighbours import Measurements
from bayeslat.decisions.suggest.problem import StageDesign
from bayeslat.decisions.unseen_task import is_unseen, task_sd
from bayeslat.features.design import StageInputs, stage_inputs, stage_times
from bayeslat.features.gpu import Gpu
from bayeslat.features.hurdle_inputs import hurdle_inputs
from bayeslat.features.tasks import task_names
from bayeslat.inference.posteriors.gross_errors import sound_rows_of
from bayeslat.inference.posteriors.posterior import PosteriorData, StagePosterior
from bayeslat.inference.posteriors.target import Target
from bayeslat.inference.rows.repeats import number_configs, row_weights
from bayeslat.model.student_t import MOST_DOF, pseudo_variance

__all__ = ["Posed", "pose"]

_MOST_MADE = 256  # measured rows: after so many, neighbours matter little


@dataclass(frozen=True)
class Posed:
    """What a posterior says of the candidates on one GPU and stack.

    Attributes
    ----------
    stages : tuple of StageDesign
    noise_correlation : ndarray, shape (stage, stage)
    log_total : ndarray, shape (candidate,)
        Log of the expected total in ms.
    """

    stages: tuple[StageDesign, ...]
    noise_correlation: NDArray[np.float64]
    log_total: NDArray[np.float64]


def pose(
    data: PosteriorData, candidates: pd.DataFrame, gpu: Gpu, stack: str | None, seed: int
) -> Posed:
    """Linearise every stage at the candidates.

    Parameters
    ----------
    data : PosteriorData
    candidates : DataFrame, one row a candidate
        Checked.
    gpu : Gpu
    stack : str or None
    seed : int

    Returns
    -------
    Posed
    """
    known = None if stack is None else data.targets.get((gpu.key, stack))
    parts, log_ms = [], []
    for number, stage in enumerate(data.stages):
        rng = np.random.default_rng([seed, number])
        view = view_group(data, stage, gpu, stack, rng)
        own = candidates.head(0) if known is None else _made(data, stage, known)
        rows, made = (_Rows.of(data, stage, frame, gpu, view) for frame in (candidates, own))
        places = np.concatenate([rows.places, made.places])
        departures = departures_at(view, places, correction_size(data, stage, gpu, view))
        design = rows.design(departures)
        runs = stage_times(data.spec, stage, candidates, gpu)
        runs = runs * _chance(data, stage, candidates, gpu, view)
        with np.errstate(divide="ignore"):
            log_ms.append(rows.centre + design @ departures.mean + np.log(runs))
        weights = _weights(data, stage, own)
        parts.append((data.stages[stage], departures, rows, design, made, weights))
    log_total = np.logaddexp.reduce(log_ms, axis=0)
    whole = np.where(np.isneginf(log_total), 0.0, log_total)  # of nothing, no stage has a share
    stages = [
        _stage(*part, share=np.exp(each - whole)) for part, each in zip(parts, log_ms, strict=True)
    ]
    correlation = data.noise_correlation
    if correlation is None:
        correlation = np.eye(len(stages))
    return Posed(tuple(stages), correlation, log_total)


@dataclass(frozen=True)
class _Rows:
    """Configurations at one stage.

    Attributes
    ----------
    inputs : StageInputs
    centre : ndarray, shape (config,)
        Log latency without any effects.
    held : ndarray, shape (config, feature)
        Design with the correction held at the edge of the training range.
    places : ndarray, shape (config, coordinate)
    excess : ndarray, shape (config, direction)
        As in `ResidualBasis.excess`.
    scale : ndarray, shape (config,)
        Of a run's noise: the root mean square of the draws'.
    """

    inputs: StageInputs
    centre: NDArray[np.float64]
    held: NDArray[np.float64]
    places: NDArray[np.float64]
    excess: NDArray[np.float64]
    scale: NDArray[np.float64]

    @staticmethod
    def of(
        data: PosteriorData, stage: str, configs: pd.DataFrame, gpu: Gpu, view: GroupView
    ) -> _Rows:
        """Evaluate configurations."""
        inputs = stage_inputs(data.spec, stage, configs, gpu)
        centre, held, edge = held_design(data, stage, configs, gpu, view, inputs)
        places, excess = view.basis.places(inputs.raw), view.basis.excess(inputs.raw)
        part, typical = data.stages[stage], np.sqrt(np.mean(view.noise_sd**2))
        scale = typical * part.noise_shape.spread(part.basis, edge.raw)
        return _Rows(inputs, centre, held, places, excess, scale)

    def design(self, departures: Departures) -> NDArray[np.float64]:
        """Of all effects. Shape (config, feature)."""
        return np.column_stack([self.held, departures.columns(self.places)])


def _chance(
    data: PosteriorData, stage: str, candidates: pd.DataFrame, gpu: Gpu, view: GroupView
) -> NDArray[np.float64] | float:
    """P(the stage takes any time) at each candidate; 1 where it always does."""
    hurdle = data.stages[stage].hurdle
    if hurdle is None or view.hurdle is None:
        return 1.0
    table = hurdle_inputs(data.spec, stage, candidates, gpu)
    chance: NDArray[np.float64] = hurdle.chance(table, view.hurdle.effects).mean(axis=1)
    return chance


def _made(data: PosteriorData, stage: str, known: Target) -> pd.DataFrame:
    """Return the last rows that the GPU was calibrated with, without gross errors."""
    return sound_rows_of(data.spec, stage, known).tail(_MOST_MADE)


def _weights(data: PosteriorData, stage: str, own: pd.DataFrame) -> NDArray[np.float64]:
    """How many rows each one of the GPU counts for. Shape (row,)."""
    labels = number_configs(own[data.reference.columns.to_list()])
    return row_weights(labels, data.stages[stage].noise_shared)


def _stage(
    part: StagePosterior,
    departures: Departures,
    rows: _Rows,
    design: NDArray[np.float64],
    made: _Rows,
    weights: NDArray[np.float64],
    *,
    share: NDArray[np.float64],
) -> StageDesign:
    """Return one stage, with what its measurements share."""
    left = _left_variance(part, departures, rows)
    told, made_left = made.design(departures), _left_variance(part, departures, made)
    return StageDesign(
        candidates=_measurements(part, rows, design, left, np.ones(len(design))),
        made=_measurements(part, made, told, made_left, weights),
        mean=departures.mean,
        covariance=departures.covariance,
        share=share,
        run_sd=normal_sd(rows.scale, part.noise_dof),
        beyond_sd=np.sqrt(left),
        terms=part.terms,
        noise_shared=part.noise_shared,
    )


def _measurements(
    part: StagePosterior,
    rows: _Rows,
    design: NDArray[np.float64],
    left: NDArray[np.float64],
    weights: NDArray[np.float64],
) -> Measurements:
    """Return measurements with their blur.

    A row with Student-t noise of scale s tells as much of its location as one with normal noise of
    sd s root((dof + 3) / (dof + 1)) (its Fisher information; Lange, Little and Taylor 1989).
    """
    noise_sd = rows.scale * np.sqrt(pseudo_variance(min(part.noise_dof, MOST_DOF)))
    places = rows.places[:, : len(part.basis.features)]
    return Measurements(design, np.sqrt(noise_sd**2 + left), noise_sd, places, weights)


def _left_variance(
    part: StagePosterior, departures: Departures, rows: _Rows
) -> NDArray[np.float64]:
    """Variance of what no effect explains. Shape (config,).

    Measurements in empty corners of the training range, between others beyond it, or of a task that
    was not fitted, are blurred by it: they tell little of the effects, and are hardly chosen.
    """
    variance = departures.left(rows.places, rows.excess)
    names = task_names(rows.inputs.task, len(rows.places))
    unseen = is_unseen(names, departures.view.basis.tasks)
    if unseen.any():
        variance = variance + unseen * np.mean(task_sd(part) ** 2)
    return variance
