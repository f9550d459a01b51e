"""The marginal likelihood of a group's rows, given the scales of its population."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from bayeslat.inference.calibration.population import OFFSET_DOF, Population

__all__ = ["Marginal", "Reduced", "Rows"]

# Of a departure in logs: 3, which is a factor of 20. Physics that takes next to none of the time
# could else stand in, at absurd efficiencies, for what a spec lacks.
_MOST_LOG_SD = float(np.log(3.0))


@dataclass(frozen=True)
class Reduced:
    """What rows tell, in at most as many as there are features.

    Attributes
    ----------
    design : ndarray, shape (row or feature, feature)
    response : ndarray, shape (row or feature,)
    rest : float
        Sum of squares that no effects explain.
    free : float
        How many rows count for nothing but noise.
    """

    design: NDArray[np.float64]
    response: NDArray[np.float64]
    rest: float
    free: float


@dataclass(frozen=True)
class Rows:
    """A linear regression of log latency, with rows of equal noise.

    Attributes
    ----------
    design : ndarray, shape (row, feature)
    response : ndarray, shape (row,)
    weights : ndarray, shape (row,)
        How many rows a row counts for.
    """

    design: NDArray[np.float64]
    response: NDArray[np.float64]
    weights: NDArray[np.float64]

    @cached_property
    def reduced(self) -> Reduced:
        """The same information in at most as many rows as features."""
        root = np.sqrt(self.weights)
        design, response = self.design * root[:, None], self.response * root
        total = float(self.weights.sum())
        if len(response) <= design.shape[1]:
            return Reduced(design, response, 0.0, total - len(response))
        basis, triangle = np.linalg.qr(design)
        rotated = basis.T @ response
        rest = max(float(response @ response - rotated @ rotated), 0.0)
        return Reduced(triangle, rotated, rest, total - len(rotated))


@dataclass(frozen=True)
class Marginal:
    """The marginal likelihood of the rows, as a function of scores.

    Scores are the log factors, that of the noise, and the coordinates of the log spread; without
    the latter, the spread is typical.

    Attributes
    ----------
    population : Population
    rows : Rows
        One or more.
    inflation : float
        Noise of the rows' responses over that of a run, as a ratio: pseudo-values scatter more.
    """

    population: Population
    rows: Rows
    inflation: float

    @property
    def log_inflation(self) -> float:
        """The inflation, in logs."""
        return float(np.log(self.inflation))

    @cached_property
    def gap(self) -> NDArray[np.float64]:
        """The reduced rows less what the population expects. Shape (row,)."""
        reduced = self.rows.reduced
        gap: NDArray[np.float64] = reduced.response - reduced.design @ self.population.mean
        return gap

    @cached_property
    def centre_covariance(self) -> NDArray[np.float64]:
        """Of the reduced rows, by the centre alone. Shape (row, row)."""
        design = self.rows.reduced.design
        covariance: NDArray[np.float64] = design @ self.population.covariance @ design.T
        return covariance

    @property
    def plain(self) -> int:
        """Number of scores but for those of the spread: the factors and the noise."""
        return len(self.population.factors) + 1

    @property
    def coordinates(self) -> int:
        """Number of scores of the spread."""
        return len(self.population.log_spread[1]) if self.population.factors else 0

    def variance(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """Of the departures. Shape (draw, feature)."""
        counts = self.population.factors
        variance = np.zeros((len(scores), self.population.centre.shape[1]))
        if counts:
            told = sum(counts)
            mean, loadings = self.population.log_spread
            beside = scores[:, self.plain :]
            logs = mean[:told] + beside @ loadings[: beside.shape[1], :told]
            logs += np.repeat(scores[:, : len(counts)], counts, axis=1)
            variance[:, :told] = np.exp(2.0 * np.minimum(logs, _MOST_LOG_SD))
        return variance

    def log_sd(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """Log noise of the rows. Shape (draw,)."""
        mean, sd = self.population.noise
        log_sd: NDArray[np.float64] = mean + sd * scores[:, self.plain - 1] + self.log_inflation
        return log_sd

    def row_covariance(
        self, variance: NDArray[np.float64], log_sd: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Of the reduced rows. Shape (draw, row, row)."""
        design = self.rows.reduced.design
        shape = (len(variance), *self.centre_covariance.shape)
        # One product of two matrices, not one for each draw.
        wide = (design * variance[:, None, :]).reshape(-1, design.shape[1])
        found = (wide @ design.T).reshape(shape) + self.centre_covariance
        diagonal = np.arange(len(design))
        found[:, diagonal, diagonal] += np.exp(2.0 * log_sd)[:, None]
        return found

    def log_likelihood(
        self, variance: NDArray[np.float64], log_sd: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Log marginal likelihood of the rows, up to a constant. Shape (draw,)."""
        return self.log_density(self.row_covariance(variance, log_sd), log_sd)

    def log_density(
        self, covariance: NDArray[np.float64], log_sd: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Log density of the rows under their covariance, up to a constant. Shape (draw,)."""
        gap, reduced = self.gap, self.rows.reduced
        count = len(gap)
        # With the gap as a further row and column, the last pivot holds the quadratic form: one
        # factorisation gives it and the determinant.
        high = 1.0 + 2.0 * (gap @ gap) * np.exp(-2.0 * log_sd.min())
        bordered = np.empty((len(log_sd), count + 1, count + 1))
        bordered[:, :count, :count] = covariance
        bordered[:, count, :count] = bordered[:, :count, count] = gap
        bordered[:, count, count] = high
        pivots = np.diagonal(np.linalg.cholesky(bordered), axis1=1, axis2=2)
        quadratic = high - pivots[:, -1] ** 2
        determinant = 2.0 * np.log(pivots[:, :-1]).sum(axis=1)
        noise = reduced.rest * np.exp(-2.0 * log_sd) + 2.0 * reduced.free * log_sd
        likelihood: NDArray[np.float64] = -0.5 * (quadratic + determinant + noise)
        return likelihood

    def log_prior(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """Log density of the scores. Shape (draw,).

        A factor's square is dof / chi2; the other scores are standard normal.
        """
        logs, normals = scores[:, : self.plain - 1], scores[:, self.plain - 1 :]
        chi2 = OFFSET_DOF * np.exp(-2.0 * logs)
        half = OFFSET_DOF / 2
        constant = np.log(2.0) - half * np.log(2.0) - gammaln(half)
        factors = half * np.log(chi2) - chi2 / 2 + constant
        others = -0.5 * normals**2 - 0.5 * np.log(2.0 * np.pi)
        density: NDArray[np.float64] = factors.sum(axis=1) + others.sum(axis=1)
        return density
