"""Calibration: a GPU (and stack) joins a posterior by its own measurements, without a new fit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from bayeslat.errors import ConvergenceError, HardwareError, InputError
from bayeslat.features.admit import admit
from bayeslat.features.design import Linearisation, linearise, stage_inputs
from bayeslat.features.gpu import Gpu
from bayeslat.features.gpu_rows import gpu_rows
from bayeslat.features.hardware import HardwareTable, explain_missing, missing_fields
from bayeslat.inference.calibration.condition import condition
from bayeslat.inference.calibration.new_tasks import admit_tasks
from bayeslat.inference.calibration.population import Population, population_of
from bayeslat.inference.calibration.target_regression import TargetRegression
from bayeslat.inference.calibration.widening import with_trail
from bayeslat.inference.hurdles.hurdle import GroupHurdle, hurdle_rows
from bayeslat.inference.hurdles.hurdle_fit import condition_hurdle
from bayeslat.inference.posteriors.origin import origin_of
from bayeslat.inference.posteriors.posterior import PosteriorData
from bayeslat.inference.posteriors.target import Target, TargetStage
from bayeslat.inference.posteriors.target_rows import as_held, join_held
from bayeslat.inference.posteriors.thin_draws import DRAWS, thin_draws
from bayeslat.inference.posteriors.walk import Walk, farthest, find_trail
from bayeslat.inference.rows.repeats import number_configs
from bayeslat.inference.rows.stage_rows import held_rows
from bayeslat.traces.names import wrong_stack
from bayeslat.traces.row_stacks import row_stacks

__all__ = ["calibrate", "calibrate_group", "calibrate_stacks"]

_RELINEARISATIONS = 2
_PROPOSALS = 512  # of scales, weighted; the draws are resampled from them
_FARTHEST = 3.0  # sds of the population: a point of linearisation beyond is an accident of few rows


def calibrate(
    data: PosteriorData,
    traces: pd.DataFrame,
    gpu: Gpu,
    stack: str | None,
    hardware: HardwareTable,
    seed: int,
) -> PosteriorData:
    """Add a GPU from its rows of a trace, or update it, stack by stack.

    Parameters and errors are those of `Posterior.calibrate`.

    Returns
    -------
    PosteriorData
    """
    if problem := wrong_stack(stack):
        raise InputError(problem)
    rows = gpu_rows(traces, [gpu.key], hardware)
    if len(rows):
        rows = admit(rows, data.spec, hardware, stack)
    elif missing := missing_fields(gpu, data.spec.hardware_fields):
        raise HardwareError(explain_missing(gpu, missing))
    unnamed = stack if stack is not None else data.unnamed_stack(gpu.key)
    return calibrate_stacks(data, rows, gpu, unnamed or "", seed=seed)


def calibrate_stacks(
    data: PosteriorData, rows: pd.DataFrame, gpu: Gpu, unnamed: str = "", *, seed: int = 0
) -> PosteriorData:
    """Add a GPU, or update it, stack by stack.

    Parameters
    ----------
    data : PosteriorData
    rows : DataFrame, one row a measurement
        Checked; of this GPU alone.
    gpu : Gpu
    unnamed : str
        The stack of rows that name none.
    seed : int

    Returns
    -------
    PosteriorData
        A new one; the donors are as they were.
    """
    names = row_stacks(rows, unnamed)
    # The stack with the most rows first: the others are then stacks of a GPU that is known.
    counts = names.value_counts()
    for name in sorted(counts.index, key=lambda name: (-counts[name], name)) or [unnamed]:
        data = calibrate_group(data, rows[names == name], gpu, name, seed=seed)
    return data


def calibrate_group(
    data: PosteriorData, rows: pd.DataFrame, gpu: Gpu, stack: str, *, seed: int = 0
) -> PosteriorData:
    """Add a GPU with a stack, or update it.

    Rows join those of earlier calibrations. A latency that repeats one of them, or one of the fit,
    to the last bit, at the same configuration, was read twice and counts once, if the row's others
    do, too, or were not measured before. Statistics, of a fit or an update, do not know their rows.
    Without any rows, the GPU is as its data sheet and the donors have it. A task that no donor ran
    gets an effect of its own, where the fit knew how far tasks differ.

    Parameters
    ----------
    data : PosteriorData
    rows : DataFrame, one row a measurement
        Checked; of this GPU and stack alone.
    gpu : Gpu
    stack : str
        Empty where traces name none.
    seed : int

    Returns
    -------
    PosteriorData
        A new one; the donors are as they were.
    """
    known = data.targets.get((gpu.key, stack))
    own = as_held(rows, [*data.reference.columns, *data.spec.latency_columns])
    own, kept = join_held(data, (gpu.key, stack), own)
    held = [] if known is None else [known.origin]
    origin = pd.concat([*held, origin_of(rows)[kept]], ignore_index=True)
    if "task" in own:
        data = admit_tasks(data, own["task"])
    # What is drawn does not depend on the order that rows came in, which the labels keep.
    ordered = own.sort_values(own.columns.to_list())
    labels = number_configs(ordered[data.reference.columns.to_list()])
    thin = thin_draws(data, DRAWS)
    with threadpool_limits(1):  # the matrices are too small for threads inside a product
        stages = {
            stage: _calibrate_stage(thin, stage, ordered, labels, gpu, stack, seed)
            for stage in data.stages
        }
    data = replace(
        data,
        hardware={**data.hardware, gpu.key: gpu},
        targets={**data.targets, (gpu.key, stack): Target(own, origin, stages)},
    )
    # The GPU's next stack was told from what this one had.
    stacks = [name for key, name in data.targets if key == gpu.key]
    for later in stacks[stacks.index(stack) + 1 :][:1]:
        data = calibrate_group(data, rows.iloc[:0], gpu, later, seed=seed)
    return data


def _calibrate_stage(
    data: PosteriorData,
    stage: str,
    frame: pd.DataFrame,
    labels: NDArray[np.int64],
    gpu: Gpu,
    stack: str,
    seed: int,
) -> TargetStage:
    """Condition one stage on the rows that hold it.

    Gauss and Newton's steps: linearise, find the mean of the effects, linearise there.
    """
    part = data.stages[stage]
    rng = np.random.default_rng([seed, list(data.stages).index(stage), 1])
    hurdle = _calibrate_hurdle(data, stage, frame, gpu, stack, seed)
    population = population_of(data, stage, gpu, stack, rng)
    if not np.isfinite(population.centre).all():
        raise ConvergenceError(
            f"the posterior's effects of stage {stage!r} are no finite numbers: its fit did not "
            "converge; fit again, with more rows of the donors"
        )
    reference = stage_inputs(data.spec, stage, data.reference, gpu)
    columns = part.basis.columns(reference.raw, reference.task)
    departure = population.departure

    def linearise_at(departure: NDArray[np.float64]) -> Linearisation:
        efficiency = part.shared_efficiency + departure
        return linearise(efficiency, reference, part.basis, columns, minor=part.minor)

    point = linearise_at(departure)
    measured = int(frame[data.spec.stages[stage].column].notna().sum())
    rows = held_rows(data.spec, stage, frame, gpu, labels, data.reference)
    if not len(rows):
        effects, noise_sd = population.draw(rng)
        return TargetStage(
            departure=departure,
            projection=point.projection,
            effects=effects,
            noise_sd=noise_sd,
            measured=measured,
            effective_draws=float(len(effects)),
            set_aside=np.empty(0, dtype=np.int64),
            set_aside_ratio=np.empty(0),
            hurdle=hurdle,
        )
    places = part.basis.places(rows.inputs.raw)
    trail, size = find_trail(places), population.centre.shape[1]
    if len(trail):
        walk_rng = np.random.default_rng([seed, list(data.stages).index(stage), 6])
        population = with_trail(population, trail, part, point, reference, walk_rng)
    regression = TargetRegression(part, population, rows, trail)
    start = None
    for step in range(_RELINEARISATIONS + 1):
        found = regression.solve(point, departure, start)
        start = found.scores
        if step < _RELINEARISATIONS:
            departure = _within(population, found.effects[: part.terms])
            point = linearise_at(departure)
    drawn = condition(found.calmed, rng, start, _PROPOSALS, found.heavy)
    reached = farthest(trail.distances(places[found.sound]))
    return TargetStage(
        departure=departure,
        projection=point.projection,
        effects=drawn.effects[:, :size],
        noise_sd=drawn.noise_sd,
        measured=measured,
        effective_draws=drawn.effective_draws,
        set_aside=frame.index.to_numpy(dtype=np.int64)[rows.position[~found.sound]],
        set_aside_ratio=found.ratio[~found.sound],
        hurdle=hurdle,
        walk=Walk(trail, drawn.effects[:, size:], reached) if len(trail) else None,
    )


def _calibrate_hurdle(
    data: PosteriorData, stage: str, frame: pd.DataFrame, gpu: Gpu, stack: str, seed: int
) -> GroupHurdle | None:
    """Draw whether the stage takes any time."""
    hurdle = data.stages[stage].hurdle
    if hurdle is None:
        return None
    rng = np.random.default_rng([seed, list(data.stages).index(stage), 4])
    group = (gpu.key, stack)
    own = hurdle.of_group(data.groups.index(group)) if group in data.groups else None
    return condition_hurdle(hurdle, own, hurdle_rows(data.spec, stage, frame, gpu), rng)


def _within(population: Population, departure: NDArray[np.float64]) -> NDArray[np.float64]:
    """Keep a point of linearisation where the population has GPUs. Shape (term,)."""
    terms = len(departure)
    centre = population.centre[:, :terms]
    sd = np.sqrt(centre.var(axis=0) + np.mean(population.spread[:, :terms] ** 2, axis=0))
    middle = centre.mean(axis=0)
    return np.clip(departure, middle - _FARTHEST * sd, middle + _FARTHEST * sd)
