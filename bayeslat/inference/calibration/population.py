"""What a posterior expects of a GPU before its rows: the population that it is drawn from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtri

from bayeslat.features.gpu import Gpu
from bayeslat.inference.posteriors.posterior import PosteriorData, StagePosterior
from bayeslat.inference.rows.strata import stratified_normal, stratified_uniform
from bayeslat.model.scales import FAMILY_SHARE, NOISE_RATIO, STACK_RATIO

__all__ = ["OFFSET_DOF", "Population", "population_of"]

OFFSET_DOF = 4.0
"""Degrees of freedom of a new GPU's offsets, in units of the donors' spread: heavy tails."""
_NEW_NOISE_SD = 0.5  # of a new group's log noise round the stage's: more than between donors
_PRIOR_GROUPS = 4.0  # donors that this counts for, where they differ by more
# exp of a Student-t has no mean. A GPU whose efficiency departs by more than four times what donors
# typically do is not of their population, and a prediction from them is not meant for it.
_MOST_DEPARTURE = 4.0
_LEAST_SD = 0.02  # of a coordinate of the log spread: below it, it is known
_DEPARTURE_VARIANCE = 1.689  # of a Student-t with `OFFSET_DOF`, cut off there


@dataclass(frozen=True)
class Population:
    """Where a group's effects and noise in one stage come from.

    effects = centre + factor x spread x normal, with heavy-tailed factors, one for the physics and
    one for the residual; log noise ~ Normal(log_noise, log_noise_sd^2).

    Attributes
    ----------
    centre : ndarray, shape (draw, feature)
        Draws of the effects that the group's depart from.
    spread : ndarray, shape (draw, feature)
        Sd of the departures; zeros for a group that was fitted.
    departure : ndarray, shape (term,)
        Log efficiencies to linearise at before any row, less the shared ones.
    log_noise : ndarray, shape (draw,)
        Of the scale of the Student-t noise.
    log_noise_sd : float
    beyond : int
        The last features: departures beyond the training range, which have a sd of their own.
    """

    centre: NDArray[np.float64]
    spread: NDArray[np.float64]
    departure: NDArray[np.float64]
    log_noise: NDArray[np.float64]
    log_noise_sd: float
    beyond: int = 0

    @property
    def terms(self) -> int:
        """Number of physics terms; the first features."""
        return len(self.departure)

    @property
    def factors(self) -> tuple[int, ...]:
        """Numbers of features that share a factor: the physics terms, the residual columns."""
        if not self.spread.any():
            return ()
        counts = (self.terms, self.centre.shape[1] - self.terms - self.beyond)
        return tuple(count for count in counts if count)

    @cached_property
    def mean(self) -> NDArray[np.float64]:
        """Of the centre. Shape (feature,)."""
        mean: NDArray[np.float64] = self.centre.mean(axis=0)
        return mean

    @cached_property
    def covariance(self) -> NDArray[np.float64]:
        """Of the centre over its draws. Shape (feature, feature)."""
        return np.atleast_2d(np.cov(self.centre.T))

    @cached_property
    def effect_covariance(self) -> NDArray[np.float64]:
        """Of what `draw` draws: the centre's, and the departures' own. Shape (feature, feature)."""
        departures = _DEPARTURE_VARIANCE * np.mean(self.spread**2, axis=0)
        covariance: NDArray[np.float64] = self.covariance + np.diag(departures)
        return covariance

    @cached_property
    def log_spread(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The law of the log spread: a normal with the moments of its draws.

        Returns
        -------
        mean : ndarray, shape (feature,)
        loadings : ndarray, shape (coordinate, feature)
            What each of some standard normal coordinates adds to it.
        """
        logs = np.log(np.maximum(self.spread, 1e-300))
        mean = logs.mean(axis=0)
        _, sizes, axes = np.linalg.svd((logs - mean) / np.sqrt(len(logs)), full_matrices=False)
        told = sizes > _LEAST_SD
        return mean, sizes[told, None] * axes[told]

    @cached_property
    def noise(self) -> tuple[float, float]:
        """Mean and sd of a group's log noise."""
        return float(self.log_noise.mean()), float(
            np.hypot(self.log_noise_sd, self.log_noise.std())
        )

    def with_beyond(self, steps: NDArray[np.float64]) -> Population:
        """Return the population with departures beyond the training range as further features.

        Parameters
        ----------
        steps : ndarray, shape (draw, side)
            Draws of their size.
        """
        return replace(
            self,
            centre=np.column_stack([self.centre, steps]),
            spread=np.column_stack([self.spread, np.zeros_like(steps)]),
            beyond=steps.shape[1],
        )

    def draw(
        self, rng: np.random.Generator, *, heavy: bool = True
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Draw groups without rows.

        Parameters
        ----------
        rng : Generator
        heavy : bool
            With heavy tails and a noise of its own, as a new GPU may be; else as the donors differ
            from one another.

        Returns
        -------
        effects : ndarray, shape (draw, feature)
        noise_sd : ndarray, shape (draw,)
        """
        shape = self.centre.shape
        if self.factors and heavy:
            departures = _heavy_tailed(len(self.centre), self.factors, rng)
        else:
            departures = stratified_normal(shape, rng)
        noise_sd = self.log_noise_sd
        if not heavy and noise_sd <= _NEW_NOISE_SD:
            noise_sd = min(noise_sd, NOISE_RATIO.sd)
        shift = noise_sd * stratified_normal(self.log_noise.shape, rng)
        return self.centre + self.spread * departures, np.exp(self.log_noise + shift)


def population_of(
    data: PosteriorData, stage: str, gpu: Gpu, stack: str | None, rng: np.random.Generator
) -> Population:
    """Describe where a group comes from, whatever it was calibrated with.

    Parameters
    ----------
    data : PosteriorData
    stage : str
    gpu : Gpu
    stack : str or None
        None: a new one.
    rng : Generator
        For the family share and the stack ratio, where none was fitted.

    Returns
    -------
    Population
        What its own rows left open, if it was fitted; else stacks of the GPU, if it was measured
        with another before; else GPUs of its family, or all.
    """
    part = data.stages[stage]
    fitted = [name for name, _ in data.groups]
    if (gpu.key, stack) in data.groups:
        return _fitted(data, part, gpu.key, data.groups.index((gpu.key, stack)))
    if gpu.key in fitted:
        node = part.problem.tree.index(gpu.key)
        departure = part.departure[data.gpus.index(gpu.key)]
        alone = fitted.count(gpu.key) == 1
        return _of_stacks(part, part.effects[:, node], departure, rng, alone=alone)
    for (name, other), target in data.targets.items():
        if (name, other) == (gpu.key, stack):
            break  # stacks that were added later were told from this one
        if name == gpu.key and len(target.rows):
            known = target.stages[stage]
            return _of_stacks(part, known.effects, known.departure, rng, alone=True)
    centre, spread = _of_kin(data, part, gpu.family, rng)
    departure = centre[:, : part.terms].mean(axis=0)
    log_noise_sd = _new_noise_sd(part, len(data.groups))
    return Population(centre, spread, departure, np.log(part.noise_sd()), log_noise_sd)


def _new_noise_sd(part: StagePosterior, groups: int) -> float:
    """Sd of a new GPU's log noise round the stage's: what donors differ by, where it is more.

    Its square is the scale of a scaled inverse chi-square: a prior that counts for four groups,
    and the squares by which the donors depart (Gelman et al., Bayesian Data Analysis, section 2.6).
    """
    middle = float(np.log(part.noise_sd()).mean())
    apart = [float(np.log(part.noise_sd(group)).mean()) - middle for group in range(groups)]
    told = _PRIOR_GROUPS * _NEW_NOISE_SD**2 + float(np.sum(np.square(apart)))
    return max(_NEW_NOISE_SD, float(np.sqrt(told / (_PRIOR_GROUPS + groups))))


def _fitted(data: PosteriorData, part: StagePosterior, gpu: str, group: int) -> Population:
    """Describe a group that was fitted."""
    node = part.problem.tree.node_of(group)
    effects, log_noise = part.effects[:, node], np.log(part.noise_sd(group))
    return Population(
        centre=effects,
        spread=np.zeros_like(effects),
        departure=part.departure[data.gpus.index(gpu)],
        log_noise=np.full(log_noise.shape, log_noise.mean()),
        log_noise_sd=float(log_noise.std()),
    )


def _of_stacks(
    part: StagePosterior,
    effects: NDArray[np.float64],
    departure: NDArray[np.float64],
    rng: np.random.Generator,
    *,
    alone: bool,
) -> Population:
    """Describe a stack without rows, on a GPU that was measured with another.

    Stacks depart from their GPU by r times what GPUs depart by. The effects are the GPU's; or, of a
    single stack, that stack's own, from which another is apart by the departures of both.
    """
    layout = part.problem.layout
    if layout.has_stacks:
        log_ratio = part.scales[:, layout.stack_at]
    else:
        log_ratio = STACK_RATIO.mean + STACK_RATIO.sd * stratified_normal((len(part.scales),), rng)
    apart = np.exp(log_ratio) * np.sqrt(2.0 if alone else 1.0)
    spread = part.problem.offset_sd(part.scales) * apart[:, None]
    return Population(effects, spread, departure, np.log(part.noise_sd()), _NEW_NOISE_SD)


def _of_kin(
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
    layout = part.problem.layout
    if layout.has_families:
        logit = part.scales[:, layout.family_at]
    else:
        logit = FAMILY_SHARE.mean + FAMILY_SHARE.sd * stratified_normal((len(part.scales),), rng)
    share: NDArray[np.float64] = 1 / (1 + np.exp(-logit))
    return share


def _heavy_tailed(
    draws: int, counts: Sequence[int], rng: np.random.Generator
) -> NDArray[np.float64]:
    """Draw departures in units of the donors' spread. Shape (draw, sum of counts).

    Student-t as normals times root(dof / chi2), a factor that the columns of each count share: a
    new GPU may be odd in its physics or its residual alone. Cut off at `_MOST_DEPARTURE`, so that
    latencies have moments.
    """
    chi2 = chdtri(OFFSET_DOF, stratified_uniform((draws, len(counts)), rng))
    factor = np.repeat(np.sqrt(OFFSET_DOF / chi2), counts, axis=1)
    normals = stratified_normal((draws, sum(counts)), rng)
    return np.clip(factor * normals, -_MOST_DEPARTURE, _MOST_DEPARTURE)
