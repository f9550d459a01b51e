"""Weighted draws of a population's scales, given a group's rows: adaptive importance sampling.

There are some ten scales, and rows that tell the effects well tell of all of them, with long tails:
a proposal by the mode and the curvature there may miss most of what is likely. So proposals are
drawn in rounds, each by the moments of the last one's weighted draws, whose weights are tempered
until many count (Koblents and Miguez 2015, Statistics and Computing 25).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq, minimize
from scipy.special import chdtri, gammaln

from bayeslat.inference.calibration.marginal import Marginal
from bayeslat.inference.rows.strata import stratified_normal, stratified_uniform

__all__ = ["ScaleDraws", "draw_scales", "find_mode"]

_PROPOSAL_DOF = 8.0
_INFLATION = 1.2  # of the first proposal's sd over the mode's
_LATER_INFLATION = 1.1  # of that of later ones over the draws'
_STEP = 0.05  # of the differences that give curvature, in logs
_ENOUGH = 0.25  # of the proposals: as many effective draws will do
_TOLD = 1 / 3  # of them have to count for moments
_ROUNDS = 12
_FARTHEST = 8.0  # of a score: the prior has hardly anything beyond, and variances stay in bounds
_MOST_LOG_NOISE = 3.0  # by which noise may depart, however narrow its prior: rows may tell of more
_NEVER = -1e9


@dataclass(frozen=True)
class ScaleDraws:
    """Draws of the scales.

    Attributes
    ----------
    scores : ndarray, shape (proposal, score)
        As `Marginal` has them.
    log_weight : ndarray, shape (proposal,)
        Up to a constant.
    """

    scores: NDArray[np.float64]
    log_weight: NDArray[np.float64]

    @property
    def weight(self) -> NDArray[np.float64]:
        """The weights, which sum to 1. Shape (proposal,)."""
        return _normalised(self.log_weight)

    @property
    def effective(self) -> float:
        """Kish's number: of equally weighted draws that are worth as much as the weighted ones."""
        return float(1.0 / np.sum(self.weight**2))


@dataclass(frozen=True)
class _Proposal:
    """A multivariate Student-t."""

    centre: NDArray[np.float64]
    root: NDArray[np.float64]  # of its scale matrix

    def draw(
        self, count: int, rng: np.random.Generator
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Draw points, with their log density. Shapes (draw, score), (draw,)."""
        size, dof = len(self.centre), _PROPOSAL_DOF
        tail = np.sqrt(dof / chdtri(dof, stratified_uniform((count,), rng)))
        standard = stratified_normal((count, size), rng) * tail[:, None]
        half = (dof + size) / 2
        constant = gammaln(half) - gammaln(dof / 2) - np.linalg.slogdet(self.root)[1]
        constant -= 0.5 * size * np.log(dof * np.pi)
        log_density = constant - half * np.log1p(np.sum(standard**2, axis=1) / dof)
        return self.centre + standard @ self.root.T, log_density


def draw_scales(
    marginal: Marginal,
    count: int,
    rng: np.random.Generator,
    start: NDArray[np.float64] | None = None,
) -> ScaleDraws:
    """Draw the scales of a group's population, given its rows.

    Parameters
    ----------
    marginal : Marginal
        Of the rows.
    count : int
        Proposals in a round.
    rng : Generator
    start : ndarray, shape (score,), optional
        The mode at the typical spread of nearly the same rows, as `find_mode` found it; found anew
        by default.

    Returns
    -------
    ScaleDraws
        Of the round with the most effective draws.
    """
    proposal = _first_proposal(marginal, find_mode(marginal) if start is None else start)
    best = drawn = _weigh(marginal, proposal, count, rng)
    for _ in range(_ROUNDS - 1):
        if best.effective >= _ENOUGH * count:
            break
        drawn = _weigh(marginal, _next_proposal(drawn), count, rng)
        best = max(best, drawn, key=lambda each: each.effective)
    return best


def _weigh(
    marginal: Marginal, proposal: _Proposal, count: int, rng: np.random.Generator
) -> ScaleDraws:
    """Draw a round of proposals, with their weights."""
    scores, log_density = proposal.draw(count, rng)
    within = np.clip(scores, -_FARTHEST, _FARTHEST)
    reach = max(_FARTHEST, _MOST_LOG_NOISE / marginal.population.noise[1])
    noise = marginal.plain - 1
    within[:, noise] = np.clip(scores[:, noise], -reach, reach)
    log_weight = _density(marginal, within) - log_density
    return ScaleDraws(scores, np.where((within == scores).all(axis=1), log_weight, _NEVER))


def find_mode(marginal: Marginal, start: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
    """Find the likeliest factors and noise at the typical spread. Shape (score,).

    Parameters
    ----------
    marginal : Marginal
    start : ndarray, shape (score,), optional
        The mode of nearly the same rows.
    """
    return _climb(marginal, np.zeros(marginal.plain) if start is None else start)


def _first_proposal(marginal: Marginal, start: NDArray[np.float64]) -> _Proposal:
    """Propose round the mode."""
    mode = _climb(marginal, np.append(start, np.zeros(marginal.coordinates)))
    values, vectors = np.linalg.eigh(_curvature(marginal, mode))
    # Where the rows say little, the prior bounds the sd: half as wide as its own.
    return _Proposal(mode, vectors * (_INFLATION / np.sqrt(np.maximum(values, 0.5))))


def _next_proposal(drawn: ScaleDraws) -> _Proposal:
    """Propose by the moments of weighted draws."""
    log_weight, many = drawn.log_weight, _TOLD * len(drawn.log_weight)

    def lacking(power: float) -> float:
        return ScaleDraws(drawn.scores, power * log_weight).effective - many

    power = float(brentq(lacking, 0.0, 1.0)) if lacking(1.0) < 0.0 else 1.0
    weight = _normalised(power * log_weight)
    centre = weight @ drawn.scores
    apart = drawn.scores - centre
    covariance = (apart * weight[:, None]).T @ apart / (1.0 - np.sum(weight**2))
    values, vectors = np.linalg.eigh(covariance)
    least = 1e-12 * values[-1]
    return _Proposal(centre, vectors * (_LATER_INFLATION * np.sqrt(np.maximum(values, least))))


def _normalised(log_weight: NDArray[np.float64]) -> NDArray[np.float64]:
    weight = np.exp(log_weight - log_weight.max())
    normalised: NDArray[np.float64] = weight / weight.sum()
    return normalised


def _density(marginal: Marginal, scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Log density of rows and scores, up to a constant. Shape (draw,)."""
    likelihood = marginal.log_likelihood(marginal.variance(scores), marginal.log_sd(scores))
    return likelihood + marginal.log_prior(scores)


def _slopes(
    marginal: Marginal, points: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Log density and its slope at some scores. Shapes (point,), (point, score)."""
    count, size = points.shape
    shifts = _STEP * np.concatenate([np.zeros((1, size)), np.eye(size), -np.eye(size)])
    around = (points[:, None] + shifts).reshape(-1, size)
    values = _density(marginal, around).reshape(count, -1)
    return values[:, 0], (values[:, 1 : size + 1] - values[:, size + 1 :]) / (2.0 * _STEP)


def _climb(marginal: Marginal, start: NDArray[np.float64]) -> NDArray[np.float64]:
    """Find the mode of as many scores as `start` has. Shape (score,)."""

    def objective(point: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        values, slopes = _slopes(marginal, point[None])
        return -float(values[0]), -slopes[0]

    further = len(start) - marginal.plain
    told = _MOST_LOG_NOISE / marginal.population.noise[1]
    noise = (-max(4.0, told), max(6.0, told))
    bounds = [(-3.0, 4.0)] * (marginal.plain - 1) + [noise] + [(-4.0, 4.0)] * further
    options = {"maxiter": 20, "ftol": 1e-4, "gtol": 1e-2}
    found = minimize(objective, start, jac=True, method="L-BFGS-B", bounds=bounds, options=options)
    mode: NDArray[np.float64] = found.x
    return mode


def _curvature(marginal: Marginal, mode: NDArray[np.float64]) -> NDArray[np.float64]:
    """Minus the second derivatives of the log density. Shape (score, score)."""
    steps = 4.0 * _STEP * np.eye(len(mode))
    _, slopes = _slopes(marginal, np.concatenate([mode + steps, mode - steps]))
    curvature = (slopes[len(mode) :] - slopes[: len(mode)]) / (8.0 * _STEP)
    return 0.5 * (curvature + curvature.T)
