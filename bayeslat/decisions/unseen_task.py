"""A task without rows: its effect is drawn from the population of tasks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bayeslat.inference.posteriors.posterior import StagePosterior
from bayeslat.inference.rows.strata import stratified_normal

__all__ = ["is_unseen", "task_effects", "task_sd"]


def is_unseen(names: NDArray[np.object_], fitted: Sequence[str]) -> NDArray[np.bool_]:
    """Whether each config is of a task that was not fitted, or of none. Shape (config,).

    Parameters
    ----------
    names : ndarray of str, shape (config,)
    fitted : sequence of str
        Tasks with an effect. Without any, latency is not known to depend on the task.
    """
    if not fitted:
        return np.zeros(len(names), dtype=bool)
    return ~np.isin(names, np.array(fitted, dtype=object))


def task_effects(
    part: StagePosterior, names: NDArray[np.object_], seed: Sequence[int]
) -> NDArray[np.float64]:
    """Draw the effects of tasks that were not fitted, in log latency.

    Parameters
    ----------
    part : StagePosterior
        Fitted with tasks.
    names : ndarray of str, shape (config,)
    seed : sequence of int
        Of the stage.

    Returns
    -------
    ndarray, shape (config, draw)
        Configs of one name share their draws.
    """
    drawn = {name: _task_effect(part, name, seed) for name in dict.fromkeys(names)}
    return np.stack([drawn[name] for name in names])


def _task_effect(part: StagePosterior, name: str, seed: Sequence[int]) -> NDArray[np.float64]:
    """Draw Normal(0, shared sd^2 + offset sd^2), as the fitted tasks have it. Shape (draw,).

    The name chooses the random stream: a task has the same draws whichever others are asked for.
    """
    sd = task_sd(part)
    letters = name.encode()
    stream = np.random.SeedSequence(seed, spawn_key=(len(letters), *letters))
    effect: NDArray[np.float64] = sd * stratified_normal(sd.shape, np.random.default_rng(stream))
    return effect


def task_sd(part: StagePosterior) -> NDArray[np.float64]:
    """Sd of the effect of a task that was not fitted, in log latency. Shape (draw,)."""
    column = part.problem.features.kinds.index("task")
    shared = part.problem.shared_sd(part.scales)[:, column]
    offset = part.problem.offset_sd(part.scales)[:, column]
    sd: NDArray[np.float64] = np.hypot(shared, offset)
    return sd
