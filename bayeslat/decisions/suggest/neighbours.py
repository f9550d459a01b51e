"""What measurements close by share beyond the model, and what those that were made tell of it.

What no effect explains is not all noise: kernels cut their work into tiles and change their
algorithm at some size, so configurations close by depart from smooth physics together. To noise
that is independent, the best designs sit at the ends of the range, where such departures mislead
them (Box and Draper 1959, JASA 54). So the part of its variance that is the configuration's own is
taken to be a Gaussian process, which makes the second measurement of a region worth less than the
first.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from scipy.spatial.distance import cdist

__all__ = ["Measurements", "Neighbours"]

_REACH = 0.25  # sd of the squared exponential kernel, in half widths of the training range


@dataclass(frozen=True)
class Measurements:
    """Measurements of one stage that were made, or could be.

    Attributes
    ----------
    design : ndarray, shape (row, feature)
    blur_sd : ndarray, shape (row,)
        Of log latency round `design @ effects`.
    noise_sd : ndarray, shape (row,)
        Its part that is there within the training range, too, which neighbours share in part.
    places : ndarray, shape (row, coordinate)
        In half widths of the training range. Without coordinates, nothing is close to anything.
    """

    design: NDArray[np.float64]
    blur_sd: NDArray[np.float64]
    noise_sd: NDArray[np.float64]
    places: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.design)

    def take(self, rows: NDArray[np.int64] | slice) -> Measurements:
        """Return some of them.

        Parameters
        ----------
        rows : ndarray of int, shape (row,), or slice
        """
        return Measurements(
            self.design[rows], self.blur_sd[rows], self.noise_sd[rows], self.places[rows]
        )


@dataclass(frozen=True)
class Neighbours:
    """Candidates beside what was measured: what a measurement adds, given those before.

    Its log latency is `design @ effects` plus a blur of sd `blur_sd`. With K the covariance of the
    blurs, and c, m for candidates and made measurements, that is the regression of one Gaussian on
    the other: design Z_c - K_cm K_mm^-1 Z_m, blur K_cc - K_cm K_mm^-1 K_mc.

    Attributes
    ----------
    candidates : Measurements
    made : Measurements
        What the effects were told from.
    shared : float
        What part of the variance of noise is a configuration's own; 0 for independent blurs.
    """

    candidates: Measurements
    made: Measurements
    shared: float

    @cached_property
    def design(self) -> NDArray[np.float64]:
        """Of a further measurement of each candidate. Shape (candidate, feature)."""
        design: NDArray[np.float64] = self.candidates.design - self._told @ self.made.design
        return design

    @cached_property
    def blur_sd(self) -> NDArray[np.float64]:
        """Of a further measurement of each candidate. Shape (candidate,)."""
        taken = np.sum(self._told * self._towards, axis=1)
        return np.sqrt(np.maximum(self.candidates.blur_sd**2 - taken, 0.0))

    def blur(self, some: NDArray[np.int64], others: NDArray[np.int64]) -> NDArray[np.float64]:
        """Covariance of the blurs of further measurements.

        Parameters
        ----------
        some, others : ndarray of int, shape (some,), (other,)
            Candidates; one that is in both is measured twice.

        Returns
        -------
        ndarray, shape (some, other)
        """
        before = self._between(self.candidates.take(some), self.candidates.take(others))
        blur: NDArray[np.float64] = before - self._told[some] @ self._towards[others].T
        return blur

    @cached_property
    def _towards(self) -> NDArray[np.float64]:
        """K_cm. Shape (candidate, row)."""
        return self._between(self.candidates, self.made)

    @cached_property
    def _told(self) -> NDArray[np.float64]:
        """K_cm K_mm^-1. Shape (candidate, row)."""
        if not (self.shared and len(self.made)):
            return np.zeros((len(self.candidates), len(self.made)))
        between = self._between(self.made, self.made)
        np.fill_diagonal(between, self.made.blur_sd**2)
        told: NDArray[np.float64] = cho_solve(cho_factor(between), self._towards.T).T
        return told

    def _between(self, some: Measurements, others: Measurements) -> NDArray[np.float64]:
        """Covariance of the blurs, as if none was made. Shape (some, other)."""
        if not (self.shared and some.places.shape[1]):
            return np.zeros((len(some), len(others)))
        apart = cdist(some.places / _REACH, others.places / _REACH, "sqeuclidean")
        near: NDArray[np.float64] = self.shared * np.exp(-0.5 * apart)
        return near * np.outer(some.noise_sd, others.noise_sd)
