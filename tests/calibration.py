"""Simulation-based calibration: fit what the prior made, and see where the truth ranks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bayeslat.evaluation.uniformity import KEPT, Ranks, rank_among
from bayeslat.inference.engines.draws import StageDraws
from bayeslat.model.problem import StageProblem
from bayeslat.parallel import run
from tests.problems import Case, make_case, noise_sd

type Array = NDArray[np.float64]
type Engine = Callable[[StageProblem, int], StageDraws]


def calibrate(
    engine: Engine,
    shape: Mapping[str, Any],
    simulations: int,
    seed: int,
    believe: Callable[[StageProblem], StageProblem] = lambda problem: problem,
) -> Ranks:
    """Draw truths and rows from the model's prior and rank each truth among an engine's draws.

    Parameters
    ----------
    engine : callable (problem, seed)
        Returns at least `KEPT` draws.
    shape : mapping
        Arguments of `make_case`.
    simulations, seed : int
    believe : callable, optional
        What the fit takes for the problem; a wrong prior, say.
    """
    setting = (engine, shape, seed, believe)
    return Ranks(
        _names(make_case(1000 * seed, **shape).problem),
        np.array(list(run(_rank, range(simulations), setting))),
    )


def _rank(
    setting: tuple[Engine, Mapping[str, Any], int, Callable[[StageProblem], StageProblem]],
    number: int,
) -> NDArray[np.int64]:
    """Simulate once, fit, and rank each truth."""
    engine, shape, seed, believe = setting
    case = make_case(1000 * seed + number, **shape)
    return rank_among(*_values(case, engine(believe(case.problem), number)))


def shrink_offsets(problem: StageProblem, factor: float) -> StageProblem:
    """Return the problem with the prior of every offset scale narrower by a factor."""
    narrow = tuple(prior / factor for prior in problem.layout.offset_prior)
    return replace(problem, layout=replace(problem.layout, offset_prior=narrow))


def _names(problem: StageProblem) -> tuple[str, ...]:
    """Every scale, every node's effect of every feature, and the log likelihood."""
    nodes = (*problem.tree.names, "shared")
    effects = [f"{feature}[{node}]" for node in nodes for feature in problem.features.names]
    return (*problem.layout.names, *effects, "log likelihood")


def _values(case: Case, drawn: StageDraws) -> tuple[Array, Array]:
    """Truth (parameter,) and evenly thinned draws (draw, parameter) of all that is ranked."""
    scales, effects = (part.reshape(-1, *part.shape[2:]) for part in (drawn.scales, drawn.effects))
    keep = np.arange(KEPT) * (len(scales) // KEPT)
    draws = [_point(case, scales[k], effects[k]) for k in keep]
    return _point(case, case.scales, case.effects), np.array(draws)


def _point(case: Case, scales: Array, effects: Array) -> Array:
    """Scales, effects and, since it sees their dependence (Modrák et al. 2023), log likelihood."""
    fit = 0.0
    sd, leaf = noise_sd(case.problem, scales), case.problem.tree.leaf
    for node, group in enumerate(leaf):
        if group >= 0:
            residual = (case.responses[group] - case.designs[group] @ effects[node]) / sd[group]
            fit -= 0.5 * residual @ residual + len(residual) * np.log(sd[group])
    return np.concatenate([scales, effects.ravel(), [fit]])
