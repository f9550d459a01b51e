"""From a posterior to the linear Gaussian problem of choosing measurements."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayeslat.decisions.group_view import GroupView, view_group
from bayeslat.decisions.predict_stage import correction_size, held_design
from bayeslat.decisions.run_noise import normal_sd
from bayeslat.decisions.suggest.neighbours import Measurements
from bayeslat.decisions.suggest.problem import StageDesign
from bayeslat.decisions.unseen_task import is_unseen, task_sd
from bayeslat.features.design import StageInputs, stage_inputs
from bayeslat.features.gpu import Gpu
from bayeslat.features.hurdle_inputs import hurdle_inputs
from bayeslat.features.tasks import task_names
from bayeslat.inference.gross_errors import sound_rows_of
from bayeslat.inference.posterior import PosteriorData, StagePosterior
from bayeslat.inference.repeats import number_configs, row_weights
from bayeslat.inference.target import Target
from bayeslat.inference.walk import walked
from bayeslat.inference.widening import widening_variance

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
    columns = {name: candidates[name].to_numpy() for name in data.spec.knobs}
    parts, log_ms = [], []
    for number, stage in enumerate(data.stages):
        rng = np.random.default_rng([seed, number])
        view = view_group(data, stage, gpu, stack, rng)
        inputs = stage_inputs(data.spec, stage, candidates, gpu)
        centre, design = held_design(data, stage, candidates, gpu, view, inputs)
        mean = view.effects.mean(axis=0)
        times = data.spec.evaluate(data.spec.stages[stage].times, columns, gpu.fields())
        times = np.broadcast_to(np.asarray(times, dtype=float), len(candidates))
        with np.errstate(divide="ignore"):
            log_ms.append(
                centre + design @ mean + np.log(times * _chance(data, stage, candidates, gpu, view))
            )
        parts.append((stage, view, inputs, design, mean))
    log_total = np.logaddexp.reduce(log_ms, axis=0)
    known = None if stack is None else data.targets.get((gpu.key, stack))
    stages = [
        _stage(data, *part, share=np.exp(each - log_total), gpu=gpu, known=known)
        for part, each in zip(parts, log_ms, strict=True)
    ]
    correlation = data.noise_correlation
    if correlation is None:
        correlation = np.eye(len(stages))
    return Posed(tuple(stages), correlation, log_total)


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


def _stage(
    data: PosteriorData,
    stage: str,
    view: GroupView,
    inputs: StageInputs,
    design: NDArray[np.float64],
    mean: NDArray[np.float64],
    *,
    share: NDArray[np.float64],
    gpu: Gpu,
    known: Target | None,
) -> StageDesign:
    """Return one stage, with what its measurements share."""
    part = data.stages[stage]
    scale = _scale(part, view, inputs)
    beyond = _beyond_variance(data, stage, view, inputs, gpu)
    candidates = _measurements(part, inputs, design, scale, beyond)
    return StageDesign(
        candidates=candidates,
        made=_made(data, stage, view, gpu, known) if known else candidates.take(slice(0)),
        mean=mean,
        covariance=view.covariance,
        share=share,
        run_sd=normal_sd(scale, part.noise_dof),
        beyond_sd=np.sqrt(beyond),
        terms=part.terms,
        noise_shared=part.noise_shared,
    )


def _made(
    data: PosteriorData, stage: str, view: GroupView, gpu: Gpu, known: Target
) -> Measurements:
    """Return the last measurements that the GPU was calibrated with, without gross errors."""
    part, own = data.stages[stage], sound_rows_of(data.spec, stage, known).tail(_MOST_MADE)
    labels = number_configs(own[data.reference.columns.to_list()])
    inputs = stage_inputs(data.spec, stage, own, gpu)
    _, design = held_design(data, stage, own, gpu, view, inputs)
    beyond = _beyond_variance(data, stage, view, inputs, gpu)
    made = _measurements(part, inputs, design, _scale(part, view, inputs), beyond)
    return replace(made, weights=row_weights(labels, part.noise_shared))


def _measurements(
    part: StagePosterior,
    inputs: StageInputs,
    design: NDArray[np.float64],
    scale: NDArray[np.float64],
    beyond: NDArray[np.float64],
) -> Measurements:
    """Return measurements with their blur.

    A row with Student-t noise of scale s tells as much of its location as one with normal noise of
    sd s root((dof + 3) / (dof + 1)) (its Fisher information; Lange, Little and Taylor 1989).
    """
    dof = _dof(part)
    noise_sd = scale * np.sqrt((dof + 3.0) / (dof + 1.0))
    blur_sd = np.sqrt(noise_sd**2 + beyond)
    places = part.basis.scaled(inputs.raw)
    return Measurements(design, blur_sd, noise_sd, places, np.ones(len(design)))


def _scale(part: StagePosterior, view: GroupView, inputs: StageInputs) -> NDArray[np.float64]:
    """Scale of a run's noise: the root mean square of the draws'. Shape (config,)."""
    typical = np.sqrt(np.mean(view.noise_sd**2))
    scale: NDArray[np.float64] = typical * part.noise_shape.spread(part.basis, inputs.raw)
    return scale


def _dof(part: StagePosterior) -> float:
    return min(part.noise_dof, 1e6)


def _beyond_variance(
    data: PosteriorData, stage: str, view: GroupView, inputs: StageInputs, gpu: Gpu
) -> NDArray[np.float64]:
    """Variance of what effects do not explain. Shape (candidate,).

    Measurements beyond the training range, or of a task that was not fitted, are blurred by it:
    they tell little of the effects, and are hardly chosen.
    """
    basis = view.basis
    excess = basis.excess(inputs.raw)
    variance = np.zeros(len(inputs))
    if excess.any():
        size = correction_size(data, stage, gpu, view)
        growth = walked(excess)
        if view.walk is not None:
            places = basis.places(inputs.raw)
            growth = view.walk.growth(places, excess)
            variance += view.walk.departures(places).var(axis=1)
        variance += widening_variance(growth, basis.spans, size)
    unseen = is_unseen(task_names(inputs.task, len(inputs)), basis.tasks)
    if unseen.any():
        variance += unseen * np.mean(task_sd(data.stages[stage]) ** 2)
    return variance
