"""What a group's own rows beyond the training range tell of its departures there.

In each direction log latency departs from the held correction like a straight line of unknown slope
and a random walk: with variance sd^2 (d^2 + d) at distance d. Between the distances at which a GPU
was measured, what is expected of the walk is straight; farther out, its line goes on, and another
walk begins.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bayeslat.features.thinning import evenly

__all__ = ["Trail", "Walk", "farthest", "find_trail", "walked"]

_MOST_STRETCHES = 4  # of a walk on one side of the range
_INSIDE = 1e-9  # nearer to the range, a config is no farther out than it
_ROUNDING = 1e-6  # of a distance: configs are as far out as a row


@dataclass(frozen=True, eq=False)
class Trail:
    """Departures beyond the training range as far as a group was measured: a sum of columns.

    For each side of the range, the slope of a line comes first, then stretches of a walk from one
    measured distance to the next.

    Attributes
    ----------
    direction : ndarray of int, shape (column,)
        Position of the coordinate, as in `ResidualBasis.places`.
    sign : ndarray, shape (column,)
        1 above the range, -1 below it.
    start, end : ndarray, shape (column,)
        Of the stretch, in half widths of the range; a line ends nowhere.
    """

    direction: NDArray[np.int64]
    sign: NDArray[np.float64]
    start: NDArray[np.float64]
    end: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.direction)

    def take(self, columns: NDArray[np.int64] | NDArray[np.bool_]) -> Trail:
        """Keep some columns.

        Parameters
        ----------
        columns : ndarray of int or bool, shape (column,)
        """
        return Trail(
            self.direction[columns], self.sign[columns], self.start[columns], self.end[columns]
        )

    @property
    def sides(self) -> NDArray[np.int64]:
        """The columns that are lines: one for each side. Shape (side,)."""
        return np.flatnonzero(np.isinf(self.end))

    def distances(self, places: NDArray[np.float64]) -> NDArray[np.float64]:
        """How far configs lie beyond the range on each side, in half widths of it.

        Parameters
        ----------
        places : ndarray, shape (config, coordinate)
            Of `ResidualBasis.places`.

        Returns
        -------
        ndarray, shape (config, side)
        """
        return _distances(places, self.direction[self.sides], self.sign[self.sides])

    def columns(self, places: NDArray[np.float64]) -> NDArray[np.float64]:
        """Evaluate the columns, each in units of the departure at distance 0.62.

        Parameters
        ----------
        places : ndarray, shape (config, coordinate)
            Of `ResidualBasis.places`.

        Returns
        -------
        ndarray, shape (config, column)
        """
        distance = _distances(places, self.direction, self.sign)
        gone, length = self._gone(distance)
        return np.where(np.isinf(self.end), distance, np.sqrt(length) * gone)

    def bridges(self, places: NDArray[np.float64]) -> NDArray[np.float64]:
        """Variance of a walk round the straight line from start to end of each stretch.

        That of a Brownian bridge, for a walk with variance 1 a half width; 0 for lines.

        Parameters
        ----------
        places : ndarray, shape (config, coordinate)
            Of `ResidualBasis.places`.

        Returns
        -------
        ndarray, shape (config, column)
        """
        gone, length = self._gone(_distances(places, self.direction, self.sign))
        return np.where(np.isinf(self.end), 0.0, length * gone * (1.0 - gone))

    def _gone(
        self, distance: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """What part of each stretch lies behind, shape (config, column), and its length."""
        length = np.where(np.isinf(self.end), 1.0, self.end - self.start)
        return np.clip((distance - self.start) / length, 0.0, 1.0), length


@dataclass(frozen=True, eq=False)
class Walk:
    """What a group's own rows beyond the training range tell of its departures there.

    Attributes
    ----------
    trail : Trail
    steps : ndarray, shape (draw, column)
        What log latency gains by each column of the trail.
    reached : ndarray, shape (row, side)
        How far beyond the range its rows lie; those that lie farthest out (`farthest`).
    """

    trail: Trail
    steps: NDArray[np.float64]
    reached: NDArray[np.float64]

    @property
    def far(self) -> NDArray[np.float64]:
        """How far out any row lies on each side. Shape (side,)."""
        return self.reached.max(axis=0)

    def far_on(self, other: Trail) -> NDArray[np.float64]:
        """How far out any row lies on the sides of another trail's columns, 0 where none does.

        Parameters
        ----------
        other : Trail

        Returns
        -------
        ndarray, shape (column,)
        """
        own = self.trail.take(self.trail.sides)
        same = (own.direction == other.direction[:, None]) & (own.sign == other.sign[:, None])
        far: NDArray[np.float64] = np.sum(same * self.far, axis=1)
        return far

    def take(self, draws: NDArray[np.int64]) -> Walk:
        """Keep some draws.

        Parameters
        ----------
        draws : ndarray of int, shape (draw,)
        """
        return replace(self, steps=self.steps[draws])

    def departures(self, places: NDArray[np.float64]) -> NDArray[np.float64]:
        """How far log latency departs from the held correction, but for what is not known.

        Parameters
        ----------
        places : ndarray, shape (config, coordinate)

        Returns
        -------
        ndarray, shape (config, draw)
        """
        departures: NDArray[np.float64] = self.trail.columns(places) @ self.steps.T
        return departures

    def growth(
        self, places: NDArray[np.float64], excess: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """How far departures have grown that are not known.

        `walked`, where no row lies; between measured distances what the walk departs from the
        straight line there, and beyond the farthest what it goes on by.

        Parameters
        ----------
        places : ndarray, shape (config, coordinate)
        excess : ndarray, shape (config, direction)
            As in `ResidualBasis.excess`.

        Returns
        -------
        ndarray, shape (config, direction)
        """
        growth, trail = walked(excess), self.trail
        distances, bridges = trail.distances(places), trail.bridges(places)
        for side, far, distance in zip(trail.sides, self.far, distances.T, strict=True):
            at, sign = trail.direction[side], trail.sign[side]
            between = bridges[:, (trail.direction == at) & (trail.sign == sign)].sum(axis=1)
            left = np.sqrt(np.maximum(distance - far, 0.0) + between)
            growth[:, at] = np.where(distance > 0, left, growth[:, at])
        return growth

    def covers(self, places: NDArray[np.float64], excess: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Say which configs lie no farther out than a row, in all directions together.

        Parameters
        ----------
        places : ndarray, shape (config, coordinate)
        excess : ndarray, shape (config, direction)
            As in `ResidualBasis.excess`.

        Returns
        -------
        ndarray of bool, shape (config,)
        """
        distances = self.trail.distances(places)
        within = distances[:, None, :] <= self.reached + _ROUNDING
        known = np.zeros(excess.shape, dtype=bool)
        for side, distance in zip(self.trail.sides, distances.T, strict=True):
            known[:, self.trail.direction[side]] |= distance > 0
        return within.all(axis=2).any(axis=1) & ~((excess > 0) & ~known).any(axis=1)


def farthest(distances: NDArray[np.float64]) -> NDArray[np.float64]:
    """Leave out the rows that lie no farther out than another one on any side.

    Parameters
    ----------
    distances : ndarray, shape (row, side)

    Returns
    -------
    ndarray, shape (kept, side)
    """
    rows = np.unique(distances, axis=0)
    under = (rows[:, None, :] <= rows).all(axis=2)
    kept: NDArray[np.float64] = rows[under.sum(axis=1) == 1]  # under none but itself
    return kept


def find_trail(places: NDArray[np.float64]) -> Trail:
    """Find where configs lie beyond the training range.

    Parameters
    ----------
    places : ndarray, shape (config, coordinate)
        Of `ResidualBasis.places`.

    Returns
    -------
    Trail
        Without columns, if none does.
    """
    columns = []
    for direction in range(places.shape[1]):
        for sign in (1.0, -1.0):
            at, to = np.array([direction]), np.array([sign])
            gone = np.unique(_distances(places, at, to))
            gone = gone[gone > 0]
            if len(gone):
                ends = gone[evenly(len(gone), _MOST_STRETCHES)]  # the farthest is among them
                starts = [0.0, *ends[:-1]]
                columns.append((direction, sign, 0.0, np.inf))
                columns += [(direction, sign, *each) for each in zip(starts, ends, strict=True)]
    table = np.array(columns, dtype=float).reshape(-1, 4)
    return Trail(table[:, 0].astype(np.int64), *table[:, 1:].T)


def walked(distance: NDArray[np.float64]) -> NDArray[np.float64]:
    """How far departures have grown, in units of that at distance 0.62. Shape as `distance`."""
    return np.sqrt(distance + distance**2)


def _distances(
    places: NDArray[np.float64], direction: NDArray[np.int64], sign: NDArray[np.float64]
) -> NDArray[np.float64]:
    distance = places[:, direction] * sign - 1.0
    return np.where(distance > _INSIDE, distance, 0.0)
