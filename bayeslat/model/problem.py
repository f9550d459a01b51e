"""One stage's regression, ready to be fitted: statistics, groups and priors."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bayeslat.caches import without_caches
from bayeslat.model.groups import GroupTree
from bayeslat.model.scales import ScaleLayout
from bayeslat.model.statistics import Statistics

__all__ = ["MOST_COUNTED", "ROUNDING", "FeaturePriors", "StageProblem"]

MOST_COUNTED = 2000.0
"""Rows that all those of a group count for: more say no more of physics and smooth corrections."""
ROUNDING = 5e-4
"""Log latency that a row is off by at least: tables of computed latencies have no noise at all."""


@dataclass(frozen=True, eq=False)
class FeaturePriors:
    """How far each feature's effect may lie from zero, and a group's from the shared one.

    All in log latency per unit of the feature. The sd of a feature's offsets is
    `offset_scale[its scale] * multiplier`; its shared effect has sd `shared_sd` where that is
    given, else `shared_scale[kind] * multiplier`.

    Attributes
    ----------
    names : tuple of str
        The features: physics terms, then residual features.
    kinds : tuple of str
        Kind of each feature, which chooses the scale of its shared effect.
    offset_scales : tuple of str
        Name of the scale of each feature's offsets: a physics term's own, a residual feature's.
    multiplier : ndarray, shape (feature,)
        1 for physics terms; smaller for residual features of higher degree.
    shared_sd : ndarray, shape (feature,)
        Prior sd of the shared effect; NaN where a drawn `shared_scale` takes its place.
    """

    names: tuple[str, ...]
    kinds: tuple[str, ...]
    offset_scales: tuple[str, ...]
    multiplier: NDArray[np.float64]
    shared_sd: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class StageProblem:
    """The linear Gaussian hierarchy of one stage, given its scales.

    beta_group ~ Normal(beta_parent, level variance x diag(offset scale^2)) up the tree to
    m ~ Normal(0, diag(shared sd^2)); y ~ Normal(Z beta_group, noise_group^2).

    Attributes
    ----------
    statistics : Statistics
        Per group of rows, all of which count as their repeats let them.
    tree : GroupTree
    features : FeaturePriors
    layout : ScaleLayout
    most_counted : float
        Rows that those of a group count for together at most.
    rounding : float
        Sd of what a row is off by at least, in log latency.
    """

    statistics: Statistics
    tree: GroupTree
    features: FeaturePriors
    layout: ScaleLayout
    most_counted: float = MOST_COUNTED
    rounding: float = 0.0

    def __getstate__(self) -> dict[str, Any]:
        return without_caches(self)

    @cached_property
    def counted(self) -> Statistics:
        """What the engines fit: no group counts for more than it may, no row is exact."""
        return self.statistics.counted(self.most_counted).rounded(self.rounding)

    @cached_property
    def offset_index(self) -> NDArray[np.int64]:
        """Position of each feature's offset scale among the scales. Shape (feature,)."""
        names = self.layout.offset_names
        return np.array([names.index(name) for name in self.features.offset_scales])

    @cached_property
    def shared_index(self) -> NDArray[np.int64]:
        """Position of each feature's shared scale; -1 where its sd is fixed. Shape (feature,)."""
        first = len(self.layout.offset_names)
        return np.array(
            [
                first + self.layout.shared_names.index(kind) if np.isnan(sd) else -1
                for kind, sd in zip(self.features.kinds, self.features.shared_sd, strict=True)
            ]
        )

    def offset_sd(self, scales: NDArray[np.float64]) -> NDArray[np.float64]:
        """Offset sd of each feature.

        Parameters
        ----------
        scales : ndarray, shape (..., scale)

        Returns
        -------
        ndarray, shape (..., feature)
        """
        sd: NDArray[np.float64] = np.exp(scales[..., self.offset_index]) * self.features.multiplier
        return sd

    def shared_sd(self, scales: NDArray[np.float64]) -> NDArray[np.float64]:
        """Prior sd of each shared effect; shapes as in `offset_sd`."""
        drawn = np.exp(scales[..., self.shared_index]) * self.features.multiplier
        return np.where(self.shared_index >= 0, drawn, self.features.shared_sd)
