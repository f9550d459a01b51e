"""A GPU as one stage's posterior sees it: measured, related, or known by its data sheet alone."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from bayeslat.features.design import Linearisation, linearise, stage_inputs
from bayeslat.features.hardware import Gpu
from bayeslat.features.residual import ResidualBasis
from bayeslat.inference.calibration.population import Population, population_of
from bayeslat.inference.hurdles.hurdle import GroupHurdle
from bayeslat.inference.posteriors.gross_errors import sound_rows_of
from bayeslat.inference.posteriors.posterior import PosteriorData, StagePosterior
from bayeslat.inference.posteriors.target import Target
from bayeslat.inference.posteriors.walk import Walk

__all__ = ["GroupView", "view_group"]


@dataclass(frozen=True)
class GroupView:
    """All that prediction needs of one GPU (and stack) in one stage.

    Attributes
    ----------
    point : Linearisation
    basis : ResidualBasis
        Of the fit; corners of its range in which the group was measured are not empty.
    departure : ndarray, shape (term,)
        Log efficiencies at the linearisation point, less the shared ones.
    effects : ndarray, shape (draw, feature)
    noise_sd : ndarray, shape (draw,)
        Scale of the noise of one run, in log latency.
    population : Population or None
        What the effects were drawn from, where no row of the group says more.
    hurdle : GroupHurdle or None
        Whether the stage takes any time; None where it always does.
    walk : Walk or None
        What the group's own rows tell of it beyond the training range.
    """

    point: Linearisation
    basis: ResidualBasis
    departure: NDArray[np.float64]
    effects: NDArray[np.float64]
    noise_sd: NDArray[np.float64]
    population: Population | None = None
    hurdle: GroupHurdle | None = None
    walk: Walk | None = None

    @cached_property
    def covariance(self) -> NDArray[np.float64]:
        """Of the effects. Shape (feature, feature).

        Without the error of few draws where the group was drawn from a population.
        """
        if self.population is None:
            return np.atleast_2d(np.cov(self.effects.T))
        return self.population.effect_covariance


def view_group(
    data: PosteriorData, stage: str, gpu: Gpu, stack: str | None, rng: np.random.Generator
) -> GroupView:
    """Look a GPU up in a stage's posterior, or draw it from the population.

    Parameters
    ----------
    data : PosteriorData
    stage : str
    gpu : Gpu
    stack : str or None
        None: the one of the GPU's rows that name none.
    rng : Generator
        For GPUs and stacks without rows.

    Returns
    -------
    GroupView
    """
    part = data.stages[stage]
    if stack is None:
        stack = data.unnamed_stack(gpu.key)
    if stack is not None and (target := data.targets.get((gpu.key, stack))):
        return _calibrated(data, stage, gpu, target)
    if (gpu.key, stack) in data.groups:
        return _fitted(data, part, gpu.key, data.groups.index((gpu.key, stack)))
    population = population_of(data, stage, gpu, stack, rng)
    reference = stage_inputs(data.spec, stage, data.reference, gpu)
    efficiency = part.shared_efficiency + population.departure
    point = linearise(efficiency, reference, part.basis, minor=part.minor)
    drawn = population.draw(rng)
    hurdle = part.hurdle.draw_group(rng) if part.hurdle else None
    return GroupView(point, part.basis, population.departure, *drawn, population, hurdle)


def _calibrated(data: PosteriorData, stage: str, gpu: Gpu, target: Target) -> GroupView:
    """Return a GPU as its calibration left it."""
    part, own = data.stages[stage], target.stages[stage]
    basis = part.basis
    if len(basis.corners.pairs):
        rows = sound_rows_of(data.spec, stage, target)
        basis = basis.with_configs(stage_inputs(data.spec, stage, rows, gpu).raw)
    point = own.point(part.shared_efficiency)
    return GroupView(
        point,
        basis,
        own.departure,
        own.effects,
        own.noise_sd,
        hurdle=own.hurdle,
        walk=own.walk,
    )


def _fitted(data: PosteriorData, part: StagePosterior, gpu: str, group: int) -> GroupView:
    """Return a GPU as it was fitted."""
    at = data.gpus.index(gpu)
    departure = part.departure[at]
    point = Linearisation(part.shared_efficiency + departure, part.projection[at])
    node = part.problem.tree.node_of(group)
    hurdle = part.hurdle.of_group(group) if part.hurdle else None
    effects, noise_sd = part.effects[:, node], part.noise_sd(group)
    return GroupView(point, part.basis, departure, effects, noise_sd, hurdle=hurdle)
