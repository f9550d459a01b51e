"""What a window's neighbouring configurations share of what physics and correction miss.

What the model leaves over is not all noise of runs. Kernels cut their work into tiles and change
their algorithm at some size, so configurations close by are off together, whenever they run. To a
test that takes errors as independent, that is a drift: the errors of 200 rows tell the mean of a
coefficient no better than those of some ten regions of the range do.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.special import betainc

from bayeslat.evaluation.drift.window import Window
from bayeslat.features.thinning import evenly
from bayeslat.inference.rows.nearness import Contrasts, nearness
from bayeslat.inference.rows.repeats import shared_prior

__all__ = ["Misfit", "estimate_misfit"]

_REACHES = (0.0625, 0.125, 0.25, 0.5)  # half widths of the range; beyond, the correction takes it
_EDGES = np.array([0.0, *np.arange(0.05, 1.0, 0.1), 1.0])  # of bins of the share
_SHARES = np.array([0.0, *np.arange(0.1, 0.91, 0.1), 0.975])  # that stand for them
_MOST_ROWS = 300  # that tell it
_LEAST_SHARE = 0.005  # on average: what is below is no misfit at all
_LEAST_CHANCE = 1e-3  # of a share and reach, to be drawn


@dataclass(frozen=True)
class Misfit:
    """What part of the variance neighbours share, how far it reaches, and how sure both are.

    Attributes
    ----------
    places : ndarray, shape (row, coordinate)
        In half widths of the training range.
    own_places : ndarray, shape (own, coordinate)
        Of rows that the effects were told from.
    taken_up : ndarray, shape (row, own)
        By how much the misfit of each of them moves what the effects say of each row: a group that
        was measured often knows what smooth effects take up of its misfit.
    shared : ndarray, shape (point,)
        Variance of the misfit, over that of the noise: more than one, where effects could take up
        so much of it that what they leave is the noise.
    left : ndarray, shape (point,)
        Variance of the rest.
    reach : ndarray, shape (point,)
        In half widths of the training range.
    chance : ndarray, shape (point,)
        Probability of each pair of them.
    """

    places: NDArray[np.float64]
    own_places: NDArray[np.float64]
    taken_up: NDArray[np.float64]
    shared: NDArray[np.float64]
    left: NDArray[np.float64]
    reach: NDArray[np.float64]
    chance: NDArray[np.float64]

    @cached_property
    def mean_left(self) -> float:
        """Expected variance of the rest."""
        return float(self.chance @ self.left)

    @cached_property
    def covariance(self) -> NDArray[np.float64]:
        """Expected covariance of the misfit of the rows. Shape (row, row)."""
        weights = self.chance * self.shared
        total = np.zeros((len(self._joint), len(self._joint)))
        for reach in np.unique(self.reach[weights > 0]):
            total += weights[self.reach == reach].sum() * nearness(self._joint, float(reach))
        rows = len(self.places)
        left = total[:rows] - self.taken_up @ total[rows:]
        covariance: NDArray[np.float64] = left[:, :rows] - left[:, rows:] @ self.taken_up.T
        return covariance

    @property
    def _joint(self) -> NDArray[np.float64]:
        """Places of the rows, then of those that the effects were told from."""
        return np.concatenate([self.places, self.own_places])

    def draw(
        self, count: int, rng: np.random.Generator
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Draw misfits of the rows.

        Returns
        -------
        misfit : ndarray, shape (row, draw)
        left : ndarray, shape (draw,)
            Variance of the rest.
        """
        at = rng.choice(len(self.chance), size=count, p=self.chance)
        standard = rng.standard_normal((len(self._joint), count))
        for reach, root in self._roots.items():
            drawn = self.reach[at] == reach
            standard[:, drawn] = root @ standard[:, drawn]
        rows = len(self.places)
        left = standard[:rows] - self.taken_up @ standard[rows:]
        return np.sqrt(self.shared[at]) * left, self.left[at]

    @cached_property
    def _roots(self) -> dict[float, NDArray[np.float64]]:
        """Cholesky factor of the nearness of the rows, by reach."""
        return {
            float(reach): np.linalg.cholesky(nearness(self._joint, float(reach)))
            for reach in np.unique(self.reach[self.shared > 0])
        }


def estimate_misfit(window: Window, most: float) -> Misfit | None:
    """Learn from a window what its neighbours share.

    Restricted likelihood on a grid: free effects take up any change of a coefficient, and a free
    scale any change of the noise, so neither reaches the estimate. The
    prior of the share is a Beta of mean `noise_shared`, what repeats told the fit, that counts for
    two observations: uniform where they told nothing.

    Parameters
    ----------
    window : Window
    most : float
        The largest share of what a fit leaves: what repeats of the window do not share, neighbours
        do not either.

    Returns
    -------
    Misfit or None
        None if there is none to speak of.
    """
    kept = evenly(len(window), _MOST_ROWS)
    contrasts = Contrasts.of(window.design[kept], window.error[kept], window.places[kept])
    if not contrasts.tell:
        return None
    prior = np.diff(betainc(*shared_prior(window.noise_shared), _EDGES))
    prior, shares = prior[most >= _SHARES], _SHARES[most >= _SHARES]
    points, logs = [], []
    for reach in _REACHES:
        # The noise is what a fit leaves: of the misfit, what effects do not take up.
        left, found = contrasts.at(reach, shares)
        points += [(share / left, 1.0 - share, reach) for share in shares]
        logs += list(np.log(prior + 1e-300) + found)
    return _summed(window, np.array(points), np.array(logs))


def _summed(
    window: Window, points: NDArray[np.float64], logs: NDArray[np.float64]
) -> Misfit | None:
    """Keep the points that have a chance; nothing where there is no misfit to speak of."""
    chance = np.exp(logs - logs.max())
    held = chance >= _LEAST_CHANCE * chance.sum()
    shared, left, reach = points[held].T
    found = Misfit(
        window.places,
        window.own_places,
        window.taken_up,
        shared,
        left,
        reach,
        chance[held] / chance[held].sum(),
    )
    return found if float(found.chance @ shared) >= _LEAST_SHARE else None
