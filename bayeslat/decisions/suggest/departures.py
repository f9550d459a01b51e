"""Departures beyond the training range, as further effects that measurements tell."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import block_diag

from bayeslat.decisions.group_view import GroupView
from bayeslat.inference.walk import Trail, find_trail, walked
from bayeslat.inference.widening import step_variance

__all__ = ["Departures", "departures_at"]


@dataclass(frozen=True)
class Departures:
    """What a group departs by from the held correction beyond the training range.

    On each side of the range it is a line and a walk, with variance sd^2 (d^2 + d) at distance d;
    it is known as far as the group was measured. What follows is expected to be straight as far as
    the farthest configuration, and is an effect: one measurement there tells much of it. What the
    walk departs from the straight line in between, a Brownian bridge, is none.

    Attributes
    ----------
    view : GroupView
    sides : Trail
        The lines of the sides on which any configuration lies.
    start, end : ndarray, shape (side,)
        How far the group was measured, and where the farthest configuration lies.
    variance : ndarray, shape (direction,)
        sd^2, in each direction of `ResidualBasis.excess`.
    """

    view: GroupView
    sides: Trail
    start: NDArray[np.float64]
    end: NDArray[np.float64]
    variance: NDArray[np.float64]

    @property
    def mean(self) -> NDArray[np.float64]:
        """Of all effects. Shape (feature,)."""
        walk = self.view.walk
        known = np.zeros(0) if walk is None else walk.steps.mean(axis=0)
        return np.concatenate([self.view.effects.mean(axis=0), known, np.zeros(len(self.sides))])

    @property
    def covariance(self) -> NDArray[np.float64]:
        """Of all effects. Shape (feature, feature)."""
        walk, covariance = self.view.walk, self.view.covariance
        if walk is not None:
            covariance = np.cov(np.column_stack([self.view.effects, walk.steps]).T)
        whole: NDArray[np.float64] = block_diag(
            covariance, np.diag(self.variance[self.sides.direction])
        )
        return whole

    def columns(self, places: NDArray[np.float64]) -> NDArray[np.float64]:
        """What the further effects count by at configurations. Shape (config, column).

        Parameters
        ----------
        places : ndarray, shape (config, coordinate)
            Of `ResidualBasis.places`.
        """
        gone, length = self._gone(places), self.end - self.start
        unknown = gone * np.sqrt((self.start == 0) + 1.0 / length)
        walk = self.view.walk
        return unknown if walk is None else np.column_stack([walk.trail.columns(places), unknown])

    def left(self, places: NDArray[np.float64], excess: NDArray[np.float64]) -> NDArray[np.float64]:
        """Variance of what no effect explains. Shape (config,).

        Parameters
        ----------
        places : ndarray, shape (config, coordinate)
        excess : ndarray, shape (config, direction)
            As in `ResidualBasis.excess`; empty corners are its last direction.
        """
        gone = self._gone(places)
        bridge = gone * (1.0 - gone / (self.end - self.start))
        corners = walked(excess[:, -1]) ** 2 * self.variance[-1]
        left: NDArray[np.float64] = bridge @ self.variance[self.sides.direction] + corners
        return left

    def _gone(self, places: NDArray[np.float64]) -> NDArray[np.float64]:
        """How far configurations lie beyond what was measured. Shape (config, side)."""
        distances = self.sides.distances(places)
        return np.clip(distances - self.start, 0.0, self.end - self.start)


def departures_at(
    view: GroupView, places: NDArray[np.float64], size: NDArray[np.float64]
) -> Departures:
    """Describe the departures at some configurations.

    Parameters
    ----------
    view : GroupView
    places : ndarray, shape (config, coordinate)
        Of all configurations in question.
    size : ndarray, shape (draw,)
        Of the smooth correction within the range.

    Returns
    -------
    Departures
    """
    lines = find_trail(places)
    sides = lines.take(lines.sides)
    end = sides.distances(places).max(axis=0, initial=0.0)
    start = np.zeros(len(sides)) if view.walk is None else view.walk.far_on(sides)
    farther = end > start
    return Departures(
        view=view,
        sides=sides.take(farther),
        start=start[farther],
        end=end[farther],
        variance=step_variance(view.basis.spans, size),
    )
