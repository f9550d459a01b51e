"""Corners of the training range in which no configuration was: hidden extrapolation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations, product

import numpy as np
from numpy.typing import NDArray

__all__ = ["CELLS", "Corners", "cell_of", "find_corners"]

CELLS = 16  # of a feature's range, by which the depth of a corner is kept
_EXPECTED = 5.0  # configurations that a corner must lack, were they spread evenly
_LEAST_MARGIN = 0.25  # in half widths of the range
_ROUNDING = 1e-6  # of a cell: features that were measured at its border are in one cell


@dataclass(frozen=True, eq=False)
class Corners:
    """How far pairs of features lie in corners of their ranges that are empty.

    Each feature may be within its range and their pair where nothing was measured (Montgomery, Peck
    and Vining, Introduction to Linear Regression Analysis, section 3.8). A point is as extreme as a
    configuration if that one lies at least as far from the middle of the range in both features, on
    the same sides. Its depth is the distance by which both features would have to come back for one
    to be so, and none within a margin.

    Attributes
    ----------
    pairs : ndarray of int, shape (pair, 2)
        Positions of the features; those that have an empty corner.
    depth : ndarray, shape (pair, CELLS, CELLS)
        In the middle of each cell of the pair's range, in half widths; 0 where something was
        measured.
    margin : float
        In half widths.
    """

    pairs: NDArray[np.int64] = field(default_factory=lambda: np.zeros((0, 2), dtype=np.int64))
    depth: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, CELLS, CELLS)))
    margin: float = _LEAST_MARGIN

    def depths(self, scaled: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the depth of each config in each pair's empty corners.

        Parameters
        ----------
        scaled : ndarray, shape (config, feature)
            On [-1, 1] over the training range.

        Returns
        -------
        ndarray, shape (config, pair)
        """
        if not len(self.pairs):
            return np.zeros((len(scaled), 0))
        cells = cell_of(scaled)
        found = [
            depth[cells[:, one], cells[:, two]]
            for (one, two), depth in zip(self.pairs, self.depth, strict=True)
        ]
        return np.stack(found, axis=1)

    def deepest(self, scaled: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return `depths`, with those that another pair's exceeds set to 0.

        Parameters
        ----------
        scaled : ndarray, shape (config, feature)

        Returns
        -------
        ndarray, shape (config, pair)
        """
        depths = self.depths(scaled)
        return np.where(depths < depths.max(axis=1, initial=0.0)[:, None], 0.0, depths)

    def names(self, features: Sequence[str]) -> tuple[str, ...]:
        """Return what each pair is called.

        Parameters
        ----------
        features : sequence of str
        """
        return tuple(f"{features[one]} with {features[two]}" for one, two in self.pairs)

    def excess(self, scaled: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return how deep each config lies in any empty corner.

        Parameters
        ----------
        scaled : ndarray, shape (config, feature)

        Returns
        -------
        ndarray, shape (config,)
        """
        deepest: NDArray[np.float64] = self.depths(scaled).max(axis=1, initial=0.0)
        return deepest

    def with_configs(self, scaled: NDArray[np.float64]) -> Corners:
        """Return what is left of the corners once further configurations are known.

        Parameters
        ----------
        scaled : ndarray, shape (config, feature)
            On [-1, 1]; those beyond the range, at its edge.
        """
        if not len(scaled) or not len(self.pairs):
            return self
        left = [
            np.minimum(depth, _depth(scaled[:, pair], self.margin))
            for pair, depth in zip(self.pairs, self.depth, strict=True)
        ]
        kept = [at for at, depth in enumerate(left) if depth.any()]
        return Corners(self.pairs[kept], np.array(left)[kept], self.margin)


def cell_of(scaled: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the cell of each feature.

    Parameters
    ----------
    scaled : ndarray
        On [-1, 1].

    Returns
    -------
    ndarray of int, shape as `scaled`
    """
    cells = (scaled + 1.0) * (CELLS / 2) + _ROUNDING
    return np.minimum(cells, CELLS - 1).astype(np.int64)


def find_corners(scaled: NDArray[np.float64]) -> Corners:
    """Find the empty corners of every pair of features.

    Parameters
    ----------
    scaled : ndarray, shape (config, feature)
        Of the configurations of the fit, on [-1, 1].

    Returns
    -------
    Corners
    """
    known = np.unique(scaled.round(6), axis=0)
    # Of n points spread evenly over [-1, 1]^2, a square of this side has five.
    margin = max(_LEAST_MARGIN, 2.0 * np.sqrt(_EXPECTED / len(known)))
    pairs, depths = [], []
    for pair in combinations(range(scaled.shape[1]), 2):
        depth = _depth(known[:, pair], margin)
        if depth.any():
            pairs.append(pair)
            depths.append(depth)
    if not pairs:
        return Corners(margin=margin)
    return Corners(np.array(pairs, dtype=np.int64), np.array(depths), margin)


def _depth(known: NDArray[np.float64], margin: float) -> NDArray[np.float64]:
    """Return the depth in the middle of each cell, 0 within a margin. Shape (cell, cell)."""
    middles = (np.arange(CELLS) + 0.5) * (2.0 / CELLS) - 1.0
    depth = np.zeros((CELLS, CELLS))
    for sides in product((-1.0, 1.0), repeat=2):
        at = [np.flatnonzero(side * middles > 0) for side in sides]
        # How much farther out than each configuration, in the feature in which it is the more.
        farther = [
            side * middles[cells][:, None] - side * known[None, :, each]
            for each, (side, cells) in enumerate(zip(sides, at, strict=True))
        ]
        both = np.maximum(farther[0][:, None, :], farther[1][None, :, :]).min(axis=2)
        depth[np.ix_(*at)] = np.where(both > margin, both, 0.0)
    return depth
