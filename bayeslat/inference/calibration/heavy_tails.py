"""Effects and noise under Student-t noise: Gibbs sweeps from draws that pseudo-values gave.

A Student-t is a normal whose variance is drawn anew for each row, so that given those variances
effects and rows are jointly normal (Geweke 1993, Journal of Applied Econometrics 8). Pseudo-values
are of the right size on average only: of few rows, or with slow runs among them, their noise is 1.2
to 2.5 times that of the posterior. They start the sweeps near by, and each sweep takes the better
part of what is left away.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bayeslat.inference.calibration.marginal import Marginal, Rows

__all__ = ["MOST_ROWS", "HeavyTails", "sweep"]

MOST_ROWS = 1000
"""Of more, pseudo-values are near enough, and sweeps take long."""

_SWEEPS = 10
_MOVES = 3  # of the noise, in each sweep
_STEP = 2.4  # sds of the noise: the best for a random walk (Gelman, Roberts and Gilks 1996)
_LEAST = 1e-10  # of the largest variance, in place of none


@dataclass(frozen=True)
class HeavyTails:
    """Rows as they were measured.

    Attributes
    ----------
    rows : Rows
        Each with Student-t noise, whose scale is that of a run.
    dof : float
    """

    rows: Rows
    dof: float

    def draw_precision(
        self, square: NDArray[np.float64], rng: np.random.Generator
    ) -> NDArray[np.float64]:
        """Draw each row's precision, in units of the noise's, given its error. Shape (draw, row).

        The density of a row that counts for a part of one is that power of the Student-t's, which
        mixes normals, too: by a chi-square with that part of the degrees of freedom.

        Parameters
        ----------
        square : ndarray, shape (draw, row)
            Of the errors in units of the noise's scale.
        rng : Generator
        """
        chi2 = rng.gamma(self.rows.weights * (self.dof + 1) / 2, 2.0, square.shape)
        precision: NDArray[np.float64] = chi2 / (self.dof + square)
        return precision


def sweep(
    heavy: HeavyTails,
    marginal: Marginal,
    scores: NDArray[np.float64],
    effects: NDArray[np.float64],
    rng: np.random.Generator,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Move draws of effects and noise to their posterior given the other scales.

    Parameters
    ----------
    heavy : HeavyTails
    marginal : Marginal
        Of pseudo-values of its rows.
    scores : ndarray, shape (draw, score)
        Of the scales; the noise starts from its own.
    effects : ndarray, shape (draw, feature)
        To start from.
    rng : Generator

    Returns
    -------
    effects : ndarray, shape (draw, feature)
    noise_sd : ndarray, shape (draw,)
    """
    rows = heavy.rows
    few = len(rows.response) <= effects.shape[1]
    # What rows tell of: their own values where they are few, and else the effects.
    told = rows.design if few else np.eye(effects.shape[1])
    seen = np.eye(len(rows.response)) if few else rows.design
    covariance, root = _prior_of(marginal, scores, told)
    begun = (effects - marginal.population.mean) @ told.T
    gap = rows.response - rows.design @ marginal.population.mean
    products = (seen[:, :, None] * seen[:, None, :]).reshape(len(seen), -1)
    values, log_sd = begun, marginal.log_sd(scores) - marginal.log_inflation
    for _ in range(_SWEEPS):
        square = (gap - values @ seen.T) ** 2
        precision = heavy.draw_precision(square * np.exp(-2.0 * log_sd)[:, None], rng)
        log_sd = _move_noise(marginal, log_sd, np.sum(precision * square, axis=1), rng)
        precision *= np.exp(-2.0 * log_sd)[:, None]
        gram, pull = (precision @ products).reshape(root.shape), (precision * gap) @ seen
        values = _draw_values(root, gram, pull, rng)
    # Of what rows tell nothing, the draws stay where they were beside what they do tell of.
    moved = np.linalg.solve(root, (values - begun)[:, :, None])
    pull = np.linalg.solve(root.transpose(0, 2, 1), moved)[:, :, 0]
    return effects + np.matvec(covariance, pull @ told), np.exp(log_sd)


def _prior_of(
    marginal: Marginal, scores: NDArray[np.float64], told: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Covariance of the effects, and the root of that of `told @ effects`.

    Shapes (draw, feature, feature), (draw, value, value).
    """
    variance = marginal.variance(scores)[:, :, None]
    covariance = marginal.population.covariance + variance * np.eye(variance.shape[1])
    of_values = told @ covariance @ told.T
    least = _LEAST * of_values.diagonal(axis1=1, axis2=2).max(axis=1)
    return covariance, np.linalg.cholesky(of_values + least[:, None, None] * np.eye(len(told)))


def _move_noise(
    marginal: Marginal,
    log_sd: NDArray[np.float64],
    squares: NDArray[np.float64],
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """Move the log noise, given the sum of weighted squares: Metropolis. Shape (draw,)."""
    mean, sd = marginal.population.noise
    count = float(marginal.rows.weights.sum())
    step = _STEP / np.sqrt(2.0 * count + sd**-2)

    def log_density(at: NDArray[np.float64]) -> NDArray[np.float64]:
        prior = -0.5 * ((at - mean) / sd) ** 2
        density: NDArray[np.float64] = prior - count * at - 0.5 * squares * np.exp(-2.0 * at)
        return density

    for _ in range(_MOVES):
        there = log_sd + step * rng.standard_normal(len(log_sd))
        taken = np.log(rng.random(len(log_sd))) < log_density(there) - log_density(log_sd)
        log_sd = np.where(taken, there, log_sd)
    return log_sd


def _draw_values(
    root: NDArray[np.float64],
    gram: NDArray[np.float64],
    pull: NDArray[np.float64],
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """Draw values given the precision and the pull of the rows, and the root of the prior.

    In coordinates whose prior is standard normal, however sure the population is of a value.

    Shapes (draw, value, value), twice, and (draw, value) to (draw, value).
    """
    across = root.transpose(0, 2, 1)
    information = across @ gram @ root + np.eye(root.shape[1])
    pull = np.matvec(across, pull)
    # Cov(A^-1 L z) = A^-1 for A = L L'.
    pull += np.matvec(np.linalg.cholesky(information), rng.standard_normal(pull.shape))
    standard = np.linalg.solve(information, pull[:, :, None])[:, :, 0]
    values: NDArray[np.float64] = np.matvec(root, standard)
    return values
