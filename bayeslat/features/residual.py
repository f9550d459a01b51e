"""The residual basis: smooth, low-degree corrections of log latency."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, reduce
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bayeslat.caches import without_caches
from bayeslat.features.corners import Corners, find_corners
from bayeslat.features.tasks import task_names

__all__ = ["DEGREE_SHRINKAGE", "ResidualBasis", "span_basis"]

DEGREE_SHRINKAGE = 0.5
"""How much smaller the effects of bends and products are than those of slopes, a priori."""

_PER_POWER = 2.0  # half widths that a power of e beyond a range counts as, if it has more


@dataclass(frozen=True, eq=False)
class ResidualBasis:
    """A polynomial with pair products over features scaled to [-1, 1] on the training range.

    Beyond the range of a feature the polynomial stays at its edge value, and `excess` tells
    prediction by how far to widen; there, and in corners of the range where nothing was measured.

    Attributes
    ----------
    features : tuple of str
        Expressions of the spec, usually logs of sizes.
    low, high : ndarray, shape (coordinate,)
        Training range of the features, then of the watched coordinates.
    degree : int
        Highest power; products of two features enter from degree 2.
    watched : tuple of str
        Further coordinates, which the physics alone uses; only their range matters.
    tasks : tuple of str
        Categories of `task` with an effect of their own; empty without such a column.
    corners : Corners
        Of features whose products are in the basis.
    """

    features: tuple[str, ...]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    degree: int
    watched: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    corners: Corners = field(default_factory=Corners)

    def __getstate__(self) -> dict[str, Any]:
        return without_caches(self)

    @cached_property
    def exponents(self) -> NDArray[np.int64]:
        """Power of each feature in each column of the polynomial. Shape (monomial, feature)."""
        unit = np.eye(len(self.features), dtype=np.int64)
        rows = [power * row for power in range(1, self.degree + 1) for row in unit]
        if self.degree >= 2:
            rows += [unit[i] + unit[j] for i, j in combinations(range(len(unit)), 2)]
        return np.array(rows, dtype=np.int64).reshape(len(rows), len(self.features))

    @cached_property
    def names(self) -> tuple[str, ...]:
        """One label a column: the monomials, then the tasks."""
        labels = [
            " * ".join(
                feature if power == 1 else f"{feature}^{power}"
                for feature, power in zip(self.features, row, strict=True)
                if power
            )
            for row in self.exponents
        ]
        return tuple(labels + [f"task={task}" for task in self.tasks])

    @cached_property
    def kinds(self) -> tuple[str, ...]:
        """`residual` or `task` for each column."""
        return ("residual",) * len(self.exponents) + ("task",) * len(self.tasks)

    @cached_property
    def offset_scales(self) -> tuple[str, ...]:
        """Name of the scale of each column's offsets: one a feature, one of all products.

        GPUs may depart from one another along one feature and not along the next.
        """
        names = [
            f"residual {self.features[row.argmax()]}"
            if np.count_nonzero(row) == 1
            else "residual, all products"
            for row in self.exponents
        ]
        return tuple(names + ["residual, all tasks"] * len(self.tasks))

    @cached_property
    def multiplier(self) -> NDArray[np.float64]:
        """Prior size of each column's effect relative to a slope's. Shape (column,)."""
        bends = np.where(self.exponents.sum(axis=1) > 1, DEGREE_SHRINKAGE, 1.0)
        return np.concatenate([bends, np.ones(len(self.tasks))])

    def columns(
        self, raw: NDArray[np.float64], task: Sequence[object] | None = None
    ) -> NDArray[np.float64]:
        """Evaluate the basis.

        Parameters
        ----------
        raw : ndarray, shape (config, coordinate)
            Values of the features, then of the watched coordinates.
        task : sequence, shape (config,), optional
            As in `task_names`. One that was not fitted gets zeros: the effect of none that was.

        Returns
        -------
        ndarray, shape (config, column)
        """
        scaled = np.ascontiguousarray(self.scaled(raw).T)
        powers = [
            reduce(np.multiply, (scaled[at] ** row[at] for at in np.flatnonzero(row)))
            for row in self.exponents
        ]
        if self.tasks:
            names = task_names(task, len(raw))
            powers += [(names == known).astype(float) for known in self.tasks]
        return np.stack(powers, axis=1) if powers else np.empty((len(raw), 0))

    def scaled(self, raw: NDArray[np.float64]) -> NDArray[np.float64]:
        """Features on [-1, 1] over the training range, and at its edge beyond it.

        Parameters
        ----------
        raw : ndarray, shape (config, coordinate)

        Returns
        -------
        ndarray, shape (config, feature)
        """
        return self._at_edge(self._scale(raw))

    def places(self, raw: NDArray[np.float64]) -> NDArray[np.float64]:
        """All coordinates, on [-1, 1] over the training range.

        Parameters
        ----------
        raw : ndarray, shape (config, coordinate)

        Returns
        -------
        ndarray, shape (config, coordinate)
            Of those that never moved, 0 where they were.
        """
        return self._scale(raw)

    def excess(self, raw: NDArray[np.float64]) -> NDArray[np.float64]:
        """How far a config lies beyond the training range, in half widths of that range.

        A power of e beyond the edge is at most two of them: a narrow range would else tell less
        than none, and sizes far above the largest would be as unknown as can be.

        A coordinate that never moved has no width: it counts in powers of e from where it was. What
        starts at 0 counts in its own units, and from the first of them on in powers of e, too.

        Parameters
        ----------
        raw : ndarray, shape (config, coordinate)

        Returns
        -------
        ndarray, shape (config, direction)
            By the coordinates, then by the deepest empty corner; 0 inside the range.
        """
        places = self._scale(raw)
        beyond = np.maximum(np.abs(places) - 1.0, 0.0)
        depth = self.corners.excess(self._at_edge(places))
        return np.column_stack([np.where(beyond > 1e-9, beyond, 0.0), depth])

    def with_configs(self, raw: NDArray[np.float64]) -> ResidualBasis:
        """Return the same basis, with fewer corners empty.

        Parameters
        ----------
        raw : ndarray, shape (config, coordinate)
            Of configurations that were measured after the fit. The range stays as it is.
        """
        return replace(self, corners=self.corners.with_configs(self.scaled(raw)))

    @property
    def directions(self) -> tuple[str, ...]:
        """What the range can be left in: the coordinates, and corners of features together."""
        return (*self.features, *self.watched, "features together")

    @property
    def spans(self) -> NDArray[np.bool_]:
        """Whether each direction has a training range. Shape (direction,)."""
        return np.append(self.moved, True)

    @property
    def tells(self) -> NDArray[np.bool_]:
        """Whether the features tell of each direction, which is not watched. Shape (direction,)."""
        known = np.ones(len(self.directions), dtype=bool)
        known[len(self.features) : -1] = False
        return known

    @cached_property
    def moved(self) -> NDArray[np.bool_]:
        """Whether each coordinate has a training range, not a single value. Shape (coordinate,)."""
        half = 0.5 * (self.high - self.low)
        moved: NDArray[np.bool_] = half > 1e-12 * np.maximum(np.abs(self.high), 1.0)
        return moved

    @cached_property
    def _logs(self) -> NDArray[np.bool_]:
        """Which coordinates are logs. Shape (coordinate,)."""
        return np.array([name.startswith("log(") for name in self.features + self.watched], bool)

    def _at_edge(self, places: NDArray[np.float64]) -> NDArray[np.float64]:
        """Hold the features of what `_scale` returned in their range. Shape (config, feature)."""
        return np.clip(places, -1.0, 1.0)[:, : len(self.features)]

    def _scale(self, raw: NDArray[np.float64]) -> NDArray[np.float64]:
        """Map the training range to [-1, 1]; what leaves it goes on from there."""
        middle = 0.5 * (self.high + self.low)
        half = np.where(self.moved, 0.5 * (self.high - self.low), 1.0)
        scaled = (raw - middle) / half
        edge = np.where(self.moved & (raw > middle), self.high, self.low)
        distance = self._distance(raw, edge)
        # No power of e leads from a size to nothing, or to less.
        endless = ~self._logs & (raw <= 0) & (edge > 0)
        most = np.where(endless, np.inf, _PER_POWER * np.abs(distance))
        widths = np.minimum(np.abs(scaled) - 1.0, most)
        beyond = np.where(self.moved, widths, np.abs(distance))
        left = np.where(self.moved, np.abs(scaled) > 1.0, ~(np.abs(distance) <= 1e-9))
        outside = np.copysign(1.0 + beyond, raw - middle)
        return np.where(left, outside, np.where(self.moved, scaled, 0.0))

    def _distance(self, raw: NDArray[np.float64], edge: NDArray[np.float64]) -> NDArray[np.float64]:
        """Distance from an edge of the range, in powers of e where that has a meaning. As `raw`."""
        logs = self._logs
        sizes = ~logs & (raw > 0) & (edge > 0)
        ratio = np.log(np.where(sizes, raw, 1.0) / np.where(sizes, edge, 1.0))
        # A log counts in powers of e as it is.
        unit = np.where(logs, 1.0, np.maximum(np.abs(edge), 1.0))
        units = (raw - edge) / unit
        far = np.sign(units) * (1.0 + np.log(np.maximum(np.abs(units), 1.0)))
        own = np.where(logs | (np.abs(units) <= 1.0), units, far)
        return np.where(sizes, ratio, own)


def span_basis(
    features: Sequence[str],
    degree: int,
    raw: NDArray[np.float64],
    watched: Sequence[str] = (),
    tasks: Sequence[str] = (),
) -> ResidualBasis:
    """Scale a basis to the range that the training rows span.

    Parameters
    ----------
    features : sequence of str
    degree : int
    raw : ndarray, shape (config, coordinate)
        Values of the features, then of the watched coordinates, over all donors' rows.
    watched : sequence of str
    tasks : sequence of str
        The tasks seen, sorted; give none for a single task.

    Returns
    -------
    ResidualBasis
    """
    low, high = raw.min(axis=0), raw.max(axis=0)
    basis = ResidualBasis(tuple(features), low, high, degree, tuple(watched), tuple(tasks))
    if degree < 2 or len(features) < 2:  # effects add up, whatever the other features are
        return basis
    return replace(basis, corners=find_corners(basis.scaled(raw)))
