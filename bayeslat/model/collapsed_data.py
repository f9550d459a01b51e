"""A stage's problem as plain arrays, the form that compiled code takes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bayeslat.model.problem import StageProblem

__all__ = ["CollapsedData", "collapse"]


class CollapsedData(NamedTuple):
    """A `StageProblem` as plain arrays.

    Positions of the scales: offset scales first, then shared scales, the family share
    (`family_at`) and stack ratio (`stack_at`) where they exist (else -1), noise (`noise_at`), and
    the noise ratios after it.
    """

    gram: NDArray[np.float64]  # shape: (group, feature, feature)
    moment: NDArray[np.float64]  # shape: (group, feature)
    square: NDArray[np.float64]  # shape: (group,)
    rows: NDArray[np.float64]  # shape: (group,)
    level: NDArray[np.int64]  # shape: (node,)
    parent: NDArray[np.int64]  # shape: (node,)
    leaf: NDArray[np.int64]  # shape: (node,)
    offset_index: NDArray[np.int64]  # shape: (feature,)
    shared_index: NDArray[np.int64]  # shape: (feature,)
    multiplier: NDArray[np.float64]  # shape: (feature,)
    shared_sd: NDArray[np.float64]  # shape: (feature,)
    half_normal: NDArray[np.float64]  # shape: (scale,)
    normal: NDArray[np.float64]  # shape: (scale, 2)
    family_at: int
    stack_at: int
    noise_at: int


def collapse(problem: StageProblem) -> CollapsedData:
    """Lay a stage's problem out for `log_likelihood` and `draw_effects`."""
    statistics, tree, layout = problem.counted, problem.tree, problem.layout
    return CollapsedData(
        gram=np.ascontiguousarray(statistics.gram),
        moment=np.ascontiguousarray(statistics.moment),
        square=statistics.square,
        rows=statistics.rows,
        level=tree.level,
        parent=tree.parent,
        leaf=tree.leaf,
        offset_index=problem.offset_index,
        shared_index=problem.shared_index,
        multiplier=problem.features.multiplier,
        shared_sd=np.nan_to_num(problem.features.shared_sd),
        half_normal=layout.half_normal,
        normal=layout.normal,
        family_at=layout.family_at,
        stack_at=layout.stack_at,
        noise_at=layout.noise_at,
    )
