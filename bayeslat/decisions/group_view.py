"""A GPU as one stage's posterior sees it: measured, related, or known by its data sheet alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtri

from bayeslat.decisions.strata import stratified_normal, stratified_uniform
from bayeslat.features.design import Linearisation, linearise, stage_inputs
from bayeslat.features.hardware import Gpu
from bayeslat.inference.posterior import PosteriorData, StagePosterior
from bayeslat.model.scales import FAMILY_SHARE, NOISE_RATIO, STACK_RATIO

__all__ = ["GroupView", "view_group"]

_NEW_OFFSET_DOF = 4.0  # a new GPU's offsets have heavier tails than the donors', DESIGN section 6
# exp of a Student-t has no mean. A GPU whose efficiency departs by more than four times what donors
# typically do is not of their population, and a prediction from them is not meant for it.
_MOST_DEPARTURE = 4.0
_NEW_NOISE_SHIFT = 0.2  # its noise is higher: a fit to 5 to 50 rows leaves more unexplained


@dataclass(frozen=True)
class GroupView:
    """All that prediction needs of one GPU (and stack) in one stage.

    Attributes
    ----------
    point : Linearisation
    departure : ndarray, shape (term,)
        Log efficiencies at the linearisation point, less the shared ones.
    effects : ndarray, shape (draw, feature)
    noise_sd : ndarray, shape (draw,)
        Scale of the noise of one run, in log latency.
    zero_shot : bool
        Whether no row of this GPU (and stack) was fitted.
    """

    point: Linearisation
    departure: NDArray[np.float64]
    effects: NDArray[np.float64]
    noise_sd: NDArray[np.float64]
    zero_shot: bool


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
        None: the stack that the GPU was measured with, if there is one only.
    rng : Generator
        For GPUs and stacks without rows.

    Returns
    -------
    GroupView
    """
    part = data.stages[stage]
    if gpu.key not in data.gpus:
        return _new_gpu(data, stage, gpu, rng)
    at = data.gpus.index(gpu.key)
    departure = part.departure[at]
    point = Linearisation(part.shared_efficiency + departure, part.projection[at])
    stacks = [known for name, known in data.groups if name == gpu.key]
    if stack is None and len(stacks) == 1:
        stack = stacks[0]
    if stack in stacks:
        group = data.groups.index((gpu.key, stack))
        node = int(np.flatnonzero(part.problem.tree.leaf == group)[0])
        return GroupView(point, departure, part.effects[:, node], part.noise_sd(group), False)
    node = part.problem.tree.index(gpu.key)
    effects = part.effects[:, node] + _stack_departure(part, rng)
    return GroupView(point, departure, effects, _new_noise(part, rng), True)


def _new_gpu(data: PosteriorData, stage: str, gpu: Gpu, rng: np.random.Generator) -> GroupView:
    """Draw a GPU from the population: the shared effects, its family's, and its own departure."""
    part = data.stages[stage]
    centre, spread = _population(data, part, gpu.family, rng)
    terms = part.terms
    # Physics and residual are heavy-tailed each by itself: a new GPU may be odd in one alone.
    columns = (terms, centre.shape[1] - terms)
    effects = centre + spread * _heavy_tailed(len(centre), columns, rng)
    departure = centre[:, :terms].mean(axis=0)
    reference = stage_inputs(data.spec, stage, data.reference, gpu)
    point = linearise(part.shared_efficiency + departure, reference, part.basis)
    return GroupView(point, departure, effects, _new_noise(part, rng), True)


def _heavy_tailed(
    draws: int, counts: Sequence[int], rng: np.random.Generator
) -> NDArray[np.float64]:
    """Draw departures in units of the donors' spread. Shape (draw, sum of counts).

    Student-t as normals times root(dof / chi2), a factor that the columns of each count share; cut
    off at `_MOST_DEPARTURE`, so that latencies have moments.
    """
    chi2 = chdtri(_NEW_OFFSET_DOF, stratified_uniform((draws, len(counts)), rng))
    factor = np.repeat(np.sqrt(_NEW_OFFSET_DOF / chi2), counts, axis=1)
    normals = stratified_normal((draws, sum(counts)), rng)
    return np.clip(factor * normals, -_MOST_DEPARTURE, _MOST_DEPARTURE)


def _population(
    data: PosteriorData, part: StagePosterior, family: str, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and sd of a new GPU's effects, per draw. Shapes (draw, feature)."""
    problem, shared = part.problem, part.effects[:, -1]
    sd = problem.offset_sd(part.scales)
    share = _family_share(part, rng)[:, None]
    if family in problem.tree.names:
        node = problem.tree.index(family)
        return part.effects[:, node], sd * np.sqrt(1 - share)
    kin = [gpu for gpu in data.gpus if data.families[gpu] == family]
    if not kin:
        return shared, sd
    # One relative: given its departure a, the new GPU's is share * a, plus what is left.
    departure = part.effects[:, problem.tree.index(kin[0])] - shared
    return shared + share * departure, sd * np.sqrt(1 - share**2)


def _family_share(part: StagePosterior, rng: np.random.Generator) -> NDArray[np.float64]:
    """Draws of the family share, from its prior when no family was fitted. Shape (draw,)."""
    names = part.problem.layout.names
    if "family_share" in names:
        logit = part.scales[:, names.index("family_share")]
    else:
        logit = FAMILY_SHARE.mean + FAMILY_SHARE.sd * stratified_normal((len(part.scales),), rng)
    share: NDArray[np.float64] = 1 / (1 + np.exp(-logit))
    return share


def _stack_departure(part: StagePosterior, rng: np.random.Generator) -> NDArray[np.float64]:
    """How a stack that was not measured may depart from its GPU. Shape (draw, feature)."""
    names = part.problem.layout.names
    if "stack_ratio" in names:
        log_ratio = part.scales[:, names.index("stack_ratio")]
    else:
        log_ratio = STACK_RATIO.mean + STACK_RATIO.sd * stratified_normal((len(part.scales),), rng)
    sd = part.problem.offset_sd(part.scales) * np.exp(log_ratio)[:, None]
    departure: NDArray[np.float64] = sd * stratified_normal(sd.shape, rng)
    return departure


def _new_noise(part: StagePosterior, rng: np.random.Generator) -> NDArray[np.float64]:
    """Noise of a group without rows. Shape (draw,)."""
    ratio = _NEW_NOISE_SHIFT + NOISE_RATIO.sd * stratified_normal((len(part.scales),), rng)
    return part.noise_sd() * np.exp(ratio)
