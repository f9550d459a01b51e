"""What a further column adds to the prediction of held-out rows, by the hierarchical regression."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve

__all__ = ["GroupRows", "held_out_density"]

type Values = NDArray[np.float64]


@dataclass(frozen=True)
class GroupRows:
    """One group of rows of a stage's regression.

    Attributes
    ----------
    design : ndarray, shape (row, feature)
    response : ndarray, shape (row,)
    variance : ndarray, shape (row,)
        Of the noise.
    fold : ndarray of int, shape (row,)
    """

    design: Values
    response: Values
    variance: Values
    fold: NDArray[np.int64]

    def with_column(self, column: Values) -> GroupRows:
        """Return the group with a further feature."""
        design = np.column_stack([self.design, column])
        return GroupRows(design, self.response, self.variance, self.fold)


def held_out_density(
    groups: Sequence[GroupRows], shared_sd: Values, offset_sd: Values, folds: int
) -> tuple[Values, Values]:
    """Predict every row from the folds that it is not in.

    Effects of a group are normal round shared ones, these normal round 0, with given scales: the
    joint mean and covariance are closed form (Gelman et al., Bayesian Data Analysis, section 15.3).

    Parameters
    ----------
    groups : sequence of GroupRows
    shared_sd, offset_sd : ndarray, shape (feature,)
        Of the shared effects, and of a group's departure from them.
    folds : int

    Returns
    -------
    density : ndarray, shape (row,)
        Log predictive density, the groups one after the other.
    error : ndarray, shape (row,)
        Response less its predicted mean.
    """
    width = len(shared_sd)
    prior = np.concatenate([shared_sd, *[offset_sd] * len(groups)])
    density = [np.zeros(len(group.response)) for group in groups]
    error = [np.zeros(len(group.response)) for group in groups]
    for fold in range(folds):
        precision = np.diag(prior**-2.0)
        pull = np.zeros(len(prior))
        for number, group in enumerate(groups):
            kept = group.fold != fold
            weighted = group.design[kept] / group.variance[kept, None]
            square, cross = group.design[kept].T @ weighted, weighted.T @ group.response[kept]
            own = slice(width * (number + 1), width * (number + 2))
            for one in (slice(0, width), own):
                pull[one] += cross
                for other in (slice(0, width), own):
                    precision[one, other] += square
        factor = cho_factor(precision)
        mean = cho_solve(factor, pull)
        covariance = cho_solve(factor, np.eye(len(prior)))
        for number, group in enumerate(groups):
            held = group.fold == fold
            own = slice(width * (number + 1), width * (number + 2))
            design = group.design[held]
            shared, apart = covariance[:width], covariance[own]
            both = shared[:, :width] + shared[:, own] + apart[:, :width] + apart[:, own]
            variance = np.sum(design @ both * design, axis=1) + group.variance[held]
            left = group.response[held] - design @ (mean[:width] + mean[own])
            error[number][held] = left
            density[number][held] = -0.5 * (np.log(2 * np.pi * variance) + left**2 / variance)
    return np.concatenate(density), np.concatenate(error)
