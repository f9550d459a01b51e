"""Departures beyond the training range, as further effects that measurements tell."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import block_diag

from bayeslat.decisions.group_view import GroupView
from bayeslat.inference.calibration.widening import step_variance
from bayeslat.inference.posteriors.walk import Trail, find_trail, walked

__all__ = ["Departures", "departures_at"]


@dataclass(frozen=True)
class Departures:
    """What a group departs by from the held correction beyond the training range.

    On each side of the range it is a line and a walk, with variance sd^2 (d^2 + d) at distance d;
    it is known as far as the group was measured. What follows is expected to be straight from one
    of a few distances to the next, and is an effect: measurements there tell much of it, as
    calibration will have it. What the walk departs from these straight lines, Brownian bridges, is
    none.

    Attributes
    ----------
    view : GroupView
    trail : Trail
        What is not known: lines of the sides on which the group was not measured, and stretches of
        walks.
    variance : ndarray, shape (direction,)
        sd^2, in each direction of `ResidualBasis.excess`.
    """

    view: GroupView
    trail: Trail
    variance: NDArray[np.float64]

    @property
    def mean(self) -> NDArray[np.float64]:
        """Of all effects. Shape (feature,)."""
        walk = self.view.walk
        known = np.zeros(0) if walk is None else walk.steps.mean(axis=0)
        return np.concatenate([self.view.effects.mean(axis=0), known, np.zeros(len(self.trail))])

    @property
    def covariance(self) -> NDArray[np.float64]:
        """Of all effects. Shape (feature, feature)."""
        walk, covariance = self.view.walk, self.view.covariance
        if walk is not None:
            covariance = np.cov(np.column_stack([self.view.effects, walk.steps]).T)
        whole: NDArray[np.float64] = block_diag(
            covariance, np.diag(self.variance[self.trail.direction])
        )
        return whole

    def columns(self, places: NDArray[np.float64]) -> NDArray[np.float64]:
        """What the further effects count by at configurations. Shape (config, column).

        Parameters
        ----------
        places : ndarray, shape (config, coordinate)
            Of `ResidualBasis.places`.
        """
        unknown, walk = self.trail.columns(places), self.view.walk
        return unknown if walk is None else np.column_stack([walk.trail.columns(places), unknown])

    def left(self, places: NDArray[np.float64], excess: NDArray[np.float64]) -> NDArray[np.float64]:
        """Variance of what no effect explains. Shape (config,).

        Parameters
        ----------
        places : ndarray, shape (config, coordinate)
        excess : ndarray, shape (config, direction)
            As in `ResidualBasis.excess`; empty corners are its last direction.
        """
        left: NDArray[np.float64] = walked(excess[:, -1]) ** 2 * self.variance[-1]
        walk = self.view.walk
        for trail in (self.trail,) if walk is None else (walk.trail, self.trail):
            left = left + trail.bridges(places) @ self.variance[trail.direction]
        return left


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
    trail = find_trail(places)
    far = np.zeros(len(trail)) if view.walk is None else view.walk.far_on(trail)
    trail = replace(trail, start=np.maximum(trail.start, far))
    is_line = np.isinf(trail.end)
    unknown = np.where(is_line, far == 0, trail.end > trail.start)
    return Departures(view, trail.take(unknown), step_variance(view.basis, size))
