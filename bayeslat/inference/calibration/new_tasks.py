"""Tasks that came after the fit: each gets an effect, which its rows then condition.

Without one, the rows of a task that no donor ran would have the effects of the fitted tasks bent
to fit them, and would say nothing about the next row of their own task.
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayeslat.features.spec import Spec
from bayeslat.features.tasks import NO_TASK
from bayeslat.inference.posteriors.posterior import PosteriorData, StagePosterior
from bayeslat.inference.posteriors.target import TargetStage
from bayeslat.inference.rows.strata import stratified_normal
from bayeslat.inference.rows.windows import Window
from bayeslat.model.groups import Level
from bayeslat.model.level_ratios import level_ratios
from bayeslat.model.priors import stage_features
from bayeslat.model.statistics import Statistics

__all__ = ["admit_tasks", "grid_of_tasks"]


def admit_tasks(data: PosteriorData, names: Iterable[str]) -> PosteriorData:
    """Give tasks that were not fitted an effect, drawn from the population of tasks.

    What the hierarchy says of a task without rows: the shared effect ~ Normal(0, shared scale^2),
    and the groups depart from it as in any other effect. Nothing else moves; the draws depend on
    the name alone, so that it does not matter when a task came.

    Parameters
    ----------
    data : PosteriorData
    names : iterable of str
        Those that have an effect, and rows without a task, are passed over. So are all where the
        fit had no tasks, or one: how far they differ is not known.

    Returns
    -------
    PosteriorData
    """
    for name in sorted(set(names) - {NO_TASK}):
        for number, (stage, part) in enumerate(data.stages.items()):
            if part.basis.tasks and name not in part.basis.tasks:
                data = _admit(data, stage, name, [number, 6])
    return data


def grid_of_tasks(data: PosteriorData) -> pd.DataFrame:
    """Return the knob grid, and once more with each task that came after the fit.

    Parameters
    ----------
    data : PosteriorData

    Returns
    -------
    DataFrame, one row a config
        The grid itself where there is none.
    """
    grid = data.reference
    if "task" not in grid:
        return grid
    known = {task for part in data.stages.values() for task in part.basis.tasks}
    new = sorted(known - set(grid["task"]))
    return pd.concat([grid, *(grid.assign(task=name) for name in new)], ignore_index=True)


def _admit(data: PosteriorData, stage: str, name: str, seed: Sequence[int]) -> PosteriorData:
    """Give one task an effect on one stage."""
    before = data.stages[stage]
    place = bisect(before.basis.tasks, name)
    column = len(before.basis.exponents) + place
    feature = before.terms + column
    part = _with_column(data.spec, stage, before, name, place)
    letters = name.encode()
    stream = np.random.SeedSequence(seed, spawn_key=(len(letters), *letters))
    rng = np.random.default_rng(stream)
    effects = np.insert(before.effects, feature, _draw_nodes(part, feature, rng), axis=2)
    targets = {}
    for group, target in data.targets.items():
        stages = dict(target.stages)
        stages[stage] = _with_effect(stages[stage], part, feature, rng)
        targets[group] = replace(target, stages=stages)
    return replace(
        data,
        stages={**data.stages, stage: replace(part, effects=effects)},
        targets=targets,
        windows={key: _window(each, stage, feature) for key, each in data.windows.items()},
    )


def _with_column(
    spec: Spec, stage: str, part: StagePosterior, name: str, place: int
) -> StagePosterior:
    """Make room for a task that no row of the fit has; its effects are still missing."""
    tasks = (*part.basis.tasks[:place], name, *part.basis.tasks[place:])
    basis = replace(part.basis, tasks=tasks)
    column = len(basis.exponents) + place
    feature = part.terms + column
    problem = replace(
        part.problem,
        statistics=_statistics(part.problem.statistics, feature),
        features=stage_features(spec, stage, basis),
    )
    pilots = part.pilots
    return replace(
        part,
        problem=problem,
        basis=basis,
        projection=np.insert(part.projection, column, 0.0, axis=2),
        pilots=replace(pilots, effect=np.insert(pilots.effect, feature, 0.0, axis=1)),
    )


def _draw_nodes(
    part: StagePosterior, feature: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Draw the effect of every node of the group tree, parents first. Shape (draw, node + 1)."""
    problem, draws = part.problem, len(part.scales)
    ratio = level_ratios(problem.layout.name_draws(part.scales))
    tree, offset_sd = problem.tree, problem.offset_sd(part.scales)[:, feature]
    nodes = len(tree.names)
    effects = stratified_normal((draws, nodes + 1), rng)
    effects[:, nodes] *= problem.shared_sd(part.scales)[:, feature]
    for node in reversed(range(nodes)):
        effects[:, node] *= ratio[Level(tree.level[node])] * offset_sd
        effects[:, node] += effects[:, int(tree.parent[node])]  # -1: the shared one, which is last
    return effects


def _with_effect(
    known: TargetStage, part: StagePosterior, feature: int, rng: np.random.Generator
) -> TargetStage:
    """Add the effect to a group that was calibrated without rows of the task."""
    draws = len(known.effects)
    scales = part.scales[np.linspace(0, len(part.scales) - 1, draws).astype(int)]
    sd = np.hypot(
        part.problem.shared_sd(scales)[:, feature], part.problem.offset_sd(scales)[:, feature]
    )
    drawn = sd * stratified_normal((draws,), rng)
    return replace(
        known,
        projection=np.insert(known.projection, feature - part.terms, 0.0, axis=1),
        effects=np.insert(known.effects, feature, drawn, axis=1),
    )


def _window(window: Window, stage: str, feature: int) -> Window:
    """Let the sums of a window have a column of zeros."""
    sums = window.stages[stage]
    padded = replace(sums, statistics=_statistics(sums.statistics, feature))
    return replace(window, stages={**window.stages, stage: padded})


def _statistics(sums: Statistics, feature: int) -> Statistics:
    """Let statistics have a feature that is zero in all rows."""
    gram = np.insert(np.insert(sums.gram, feature, 0.0, axis=1), feature, 0.0, axis=2)
    return replace(sums, gram=gram, moment=np.insert(sums.moment, feature, 0.0, axis=1))
