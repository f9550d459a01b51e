"""How much of a stage's noise neighbouring configurations share.

What physics and smooth correction leave over is not all noise of runs: kernels cut their work into
tiles and change their algorithm at some size, so configurations close by are off together. Effects
take up part of that; of what they leave, the contrasts among rows that no effect reaches tell how
much neighbours share (restricted likelihood: Patterson and Thompson 1971, Biometrika 58).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist
from scipy.special import xlogy

__all__ = ["Contrasts", "estimate_own_share", "nearness", "nearness_between"]

_REACHES = (0.03125, 0.0625, 0.125, 0.25, 0.5)  # half widths of the range
_EDGES = np.linspace(0.0, 1.0, 51)  # of bins of the share
_FARTHEST = 3.0  # times the typical residual: errors beyond are drawn in
_NORMAL = 1.4826  # of a normal's median absolute deviation to its sd
_JITTER = 1e-8


def nearness(places: NDArray[np.float64], reach: float) -> NDArray[np.float64]:
    """Correlation of the misfits of rows, safe to factorise; see `nearness_between`.

    Parameters
    ----------
    places : ndarray, shape (row, coordinate)
    reach : float

    Returns
    -------
    ndarray, shape (row, row)
    """
    near = nearness_between(places, places, reach)
    near[np.diag_indices_from(near)] += _JITTER
    return near


def nearness_between(
    some: NDArray[np.float64], others: NDArray[np.float64], reach: float
) -> NDArray[np.float64]:
    """Correlation of misfits: Matern's with smoothness 3/2 (Rasmussen and Williams 2006, eq. 4.17).

    Parameters
    ----------
    some, others : ndarray, shape (some, coordinate), (other, coordinate)
    reach : float

    Returns
    -------
    ndarray, shape (some, other)
    """
    apart = cdist(some, others)
    apart *= np.sqrt(3.0) / reach
    near: NDArray[np.float64] = (1.0 + apart) * np.exp(-apart)
    return near


@dataclass(frozen=True)
class Contrasts:
    """What free effects of a design leave of errors, with outliers drawn in.

    Attributes
    ----------
    basis : ndarray, shape (row, contrast)
        Orthonormal, and orthogonal to the design.
    error : ndarray, shape (contrast,)
    places : ndarray, shape (row, coordinate)
        In half widths of the training range.
    """

    basis: NDArray[np.float64]
    error: NDArray[np.float64]
    places: NDArray[np.float64]

    @staticmethod
    def of(
        design: NDArray[np.float64], error: NDArray[np.float64], places: NDArray[np.float64]
    ) -> Contrasts:
        """Take the contrasts of rows.

        Parameters
        ----------
        design : ndarray, shape (row, feature)
        error : ndarray, shape (row,)
        places : ndarray, shape (row, coordinate)

        Returns
        -------
        Contrasts
        """
        basis, values, _ = np.linalg.svd(design, full_matrices=True)
        rank = int(np.sum(values > 1e-6 * max(float(values.max(initial=0.0)), 1e-300)))
        free = basis[:, rank:]
        left = free @ (free.T @ error)
        limit = _FARTHEST * _NORMAL * float(np.median(np.abs(left))) if len(left) else 0.0
        return Contrasts(free, free.T @ np.clip(left, -limit, limit), places)

    @property
    def tell(self) -> bool:
        """Whether they tell anything: there are some, not all zero, and rows have places."""
        return bool(self.places.shape[1] and self.error.any())

    def at(self, reach: float, shares: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        """Restricted log likelihood, the scale profiled out.

        Parameters
        ----------
        reach : float
            Of the nearness, in half widths of the training range.
        shares : ndarray, shape (share,)
            Of the variance of the contrasts: what neighbours share of it.

        Returns
        -------
        left : float
            What effects leave of the variance of a shared part.
        log_likelihood : ndarray, shape (share,)
        """
        near = nearness(self.places, reach)
        values, directions = np.linalg.eigh(self.basis.T @ near @ self.basis)
        left = float(values.mean())
        squared = (directions.T @ self.error) ** 2
        variance = 1.0 + shares[:, None] * (values / left - 1.0)
        logs = -0.5 * np.log(variance).sum(axis=1)
        return left, logs - 0.5 * len(squared) * np.log((squared / variance).sum(axis=1))


def estimate_own_share(groups: Iterable[Contrasts]) -> float:
    """Estimate what part of a stage's noise is the configurations' own, where none was repeated.

    Neighbours tell a lower bound of it, c: what configurations have for themselves alone looks like
    the noise of runs. The own part u is uniform a priori, and so is the part of it that neighbours
    share; then c has the density -log c, and u is (1 - c) / -log c on average. Shares are summed
    over bins, so that rows that tell nothing leave exactly a half.

    Parameters
    ----------
    groups : iterable of Contrasts
        They have the share and the reach in common.

    Returns
    -------
    float
    """
    telling = [group for group in groups if group.tell]
    middle = 0.5 * (_EDGES[1:] + _EDGES[:-1])
    logs = np.zeros((len(_REACHES), len(middle)))
    for group in telling:
        logs += [group.at(reach, middle)[1] for reach in _REACHES]
    prior = np.diff(_EDGES - xlogy(_EDGES, _EDGES))
    own = np.diff(_EDGES - 0.5 * _EDGES**2)
    likelihood = np.exp(logs - logs.max())
    return float(np.sum(likelihood * own) / np.sum(likelihood * prior))
