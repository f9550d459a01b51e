"""Predicting the latency of one stage on a GPU, from a posterior."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayeslat.decisions.counted_range import beyond_counts
from bayeslat.decisions.group_view import GroupView, view_group
from bayeslat.decisions.hurdle_prediction import HurdlePrediction
from bayeslat.decisions.prediction import Of, StagePrediction
from bayeslat.decisions.unseen_task import is_unseen, task_effects
from bayeslat.features.design import StageInputs, counting_knobs, stage_inputs, stage_times
from bayeslat.features.hardware import Gpu
from bayeslat.features.hold_knobs import hold_knobs
from bayeslat.features.hurdle_inputs import hurdle_inputs
from bayeslat.features.residual import ResidualBasis
from bayeslat.features.tasks import task_names
from bayeslat.inference.calibration.widening import correction_rms, widening
from bayeslat.inference.posteriors.posterior import PosteriorData
from bayeslat.inference.posteriors.walk import walked
from bayeslat.inference.rows.strata import stratified_uniform
from bayeslat.model.student_t import student_t_quantile

__all__ = ["Of", "correction_size", "held_design", "predict_stage", "stratified_noise"]

_SELDOM = 0.05  # P(taking time), below which the range of runs that take time does not matter
_MOST_LOG_MS = 50.0  # far beyond the range: as good as any latency, and its square still a number


def predict_stage(
    data: PosteriorData,
    stage: str,
    configs: pd.DataFrame,
    gpu: Gpu,
    *,
    stack: str | None,
    of: Of,
    seed: int,
    order: NDArray[np.int64] | None = None,
) -> StagePrediction:
    """Draw one stage's latency at every config.

    Log latencies are linear in the effects round the GPU's linearisation point.

    Parameters
    ----------
    data : PosteriorData
        With as many draws as the prediction shall have.
    stage : str
    configs : DataFrame, one row a config
    gpu : Gpu
    stack : str or None
    of : {"run", "typical"}
        A typical run has that part of the noise which is the configuration's own. In a stage with
        a hurdle it is the run-to-run median, of which some may take no time.
    seed : int
    order : ndarray of int, shape (draw,), optional
        Position of each draw's noise among the sorted ones; random by default.

    Returns
    -------
    StagePrediction
    """
    part = data.stages[stage]
    stream = [seed, list(data.stages).index(stage)]
    rng = np.random.default_rng(stream)
    view = view_group(data, stage, gpu, stack, rng)
    inputs = stage_inputs(data.spec, stage, configs, gpu)
    centre, design, held = held_design(data, stage, configs, gpu, view, inputs)
    log_ms = centre[:, None] + design @ view.effects.T
    # The widening comes last, and the noise is drawn whether or not it is used: a config's draws do
    # not depend on the other configs, nor on what is asked of it.
    standard = stratified_noise(len(view.noise_sd), part.noise_dof, rng)
    noise = view.noise_sd * (standard if order is None else np.sort(standard)[order])
    excess = view.basis.excess(inputs.raw)
    hurdle, beyond = _hurdle(data, stage, configs, gpu, view, stream)
    if hurdle is not None:
        excess[hurdle.chance.mean(axis=1) < _SELDOM] = 0.0
    pairs = part.basis.corners.names(part.basis.features)
    together = _together(view.basis, inputs.raw, excess, pairs)
    out = excess.any(axis=1)
    if out.any():
        places = view.basis.places(inputs.raw[out])
        log_ms[out] += _departures(data, stage, gpu, view, places, excess[out], rng)
        if view.walk is not None:
            known = view.walk.covers(places, excess[out])
            excess[np.flatnonzero(out)[known], :-1] = 0.0
    names = task_names(inputs.task, len(configs))
    unseen = is_unseen(names, part.basis.tasks)
    if unseen.any():
        log_ms[unseen] += task_effects(part, names[unseen], stream)
    if out.any() or unseen.any():
        log_ms = np.clip(log_ms, -_MOST_LOG_MS, _MOST_LOG_MS)
    left = np.column_stack([excess[:, :-1], together, unseen, beyond])
    times = stage_times(data.spec, stage, configs, gpu)
    left[times == 0] = 0.0  # of what does not run, only whether it does matters
    counting = counting_knobs(data.spec, stage)
    counts = beyond_counts(data, stage, configs, gpu.key)
    spread = part.noise_shape.spread(part.basis, held.raw)[:, None]
    if not part.noise_shape.slopes.any():
        spread = spread[:1]  # all configs share their noise
    typical_ms = np.exp(log_ms)
    if of == "typical":
        if hurdle is not None:
            of_a_run = np.sqrt(1.0 - part.noise_shared)  # the rest is the configuration's own
            noise_sd = spread * view.noise_sd * of_a_run
            typical_ms = hurdle.medians(typical_ms, noise_sd, part.noise_dof)
            hurdle = None
        spread = spread * np.sqrt(part.noise_shared)
    return StagePrediction(
        typical_ms=typical_ms,
        log_noise=spread * noise,
        noise_sd=spread * view.noise_sd,
        times=times,
        excess=np.column_stack([left, counts]),
        coordinates=(*part.basis.directions[:-1], *pairs, "task", "hurdle", *counting),
        noise_dof=part.noise_dof,
        hurdle=hurdle,
    )


def _together(
    basis: ResidualBasis,
    raw: NDArray[np.float64],
    excess: NDArray[np.float64],
    pairs: Sequence[str],
) -> NDArray[np.float64]:
    """Say how deep configs lie in the empty corners of a group. Shape (config, pair).

    That is the last column of `excess` by pair, of which the deepest counts. The pairs are those of
    the fit, so that groups have equal columns: a group that measured all of a corner is in none.
    """
    corners, deep = basis.corners, excess[:, -1] > 0
    together = np.zeros((len(raw), len(pairs)))
    if deep.any():
        at = [pairs.index(name) for name in corners.names(basis.features)]
        together[np.ix_(deep, at)] = corners.deepest(basis.scaled(raw[deep]))
    return together


def _hurdle(
    data: PosteriorData,
    stage: str,
    configs: pd.DataFrame,
    gpu: Gpu,
    view: GroupView,
    stream: list[int],
) -> tuple[HurdlePrediction | None, NDArray[np.bool_]]:
    """Draw whether the stage takes any time, and say which configs leave the range of that."""
    hurdle, inside = data.stages[stage].hurdle, np.zeros(len(configs), dtype=bool)
    if hurdle is None or view.hurdle is None:
        return None, inside
    table = hurdle_inputs(data.spec, stage, configs, gpu)
    rank = stratified_uniform((len(view.noise_sd),), np.random.default_rng([*stream, 5]))
    chance = hurdle.chance(table, view.hurdle.effects)
    group = np.zeros(len(configs), dtype=int)
    below_ms, below_rows = view.hurdle.below_ms[None], np.array([view.hurdle.below_rows])
    found = HurdlePrediction(chance, rank, below_ms, group, below_rows)
    return found, hurdle.leaves(table)


def held_design(
    data: PosteriorData,
    stage: str,
    configs: pd.DataFrame,
    gpu: Gpu,
    view: GroupView,
    inputs: StageInputs,
) -> tuple[NDArray[np.float64], NDArray[np.float64], StageInputs]:
    """Log latency as a linear function, with the correction held at the edge of the training range.

    Parameters
    ----------
    data : PosteriorData
    stage : str
    configs : DataFrame, one row a config
    gpu : Gpu
    view : GroupView
    inputs : StageInputs
        Of the configs.

    Returns
    -------
    centre : ndarray, shape (config,)
        Without any effects.
    design : ndarray, shape (config, feature)
    held : StageInputs
        With the knobs at the edge.
    """
    part = data.stages[stage]
    held = hold_knobs(configs, data.reference, data.spec.knobs)
    at = inputs if held is configs else stage_inputs(data.spec, stage, held, gpu)
    log_ms, design = view.point.design(inputs, part.basis, residual_at=at)
    return log_ms - design[:, : part.terms] @ view.departure, design, at


def _departures(
    data: PosteriorData,
    stage: str,
    gpu: Gpu,
    view: GroupView,
    places: NDArray[np.float64],
    excess: NDArray[np.float64],
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """Departures from the held correction beyond the training range. Shape (config, draw)."""
    basis, size = data.stages[stage].basis, correction_size(data, stage, gpu, view)
    if view.walk is None:
        return widening(walked(excess), basis, size, rng)
    unknown = widening(view.walk.growth(places, excess), basis, size, rng)
    return view.walk.departures(places) + unknown


def correction_size(
    data: PosteriorData, stage: str, gpu: Gpu, view: GroupView
) -> NDArray[np.float64]:
    """Size of a GPU's smooth correction within the training range. Shape (draw,)."""
    part = data.stages[stage]
    reference = stage_inputs(data.spec, stage, data.reference, gpu)
    columns = view.point.design(reference, part.basis)[1][:, part.terms :]
    return correction_rms(part, columns, view.effects)


def stratified_noise(draws: int, dof: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw Student-t noise.

    The same values serve every config: each config's distribution is what it would be with
    independent ones, and configs compare smoothly.

    Parameters
    ----------
    draws : int
    dof : float
    rng : Generator

    Returns
    -------
    ndarray, shape (draw,)
    """
    return student_t_quantile(stratified_uniform((draws,), rng), dof)
