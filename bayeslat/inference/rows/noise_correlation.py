"""Whether the noise of one run strikes several stages together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtri

from bayeslat.inference.engines.draws import StageDraws
from bayeslat.model.groups import GroupTree

__all__ = ["GroupRows", "Regression", "correlate_noise", "residuals"]

_FEWEST_ROWS = 30  # with both stages
_SURE = 3.0  # standard errors: a weaker correlation counts as none


type Regression = tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]
"""Of a group: positions of its rows, design and response. Shapes (row,), (row, feature), (row,)."""

type GroupRows = tuple[NDArray[np.int64], NDArray[np.float64]]
"""Of a group: positions of its rows in a table, and what a fit leaves there. Shapes (row,)."""


def correlate_noise(
    left: Mapping[str, Sequence[GroupRows]], rows: int
) -> NDArray[np.float64] | None:
    """Estimate the correlation between the stages of a run, over all groups.

    Of the normal scores of what the fit leaves, within each group (van der Waerden): outliers have
    no pull, and how noisy a group is plays no part. It serves as the correlation of a Gaussian
    copula.

    Parameters
    ----------
    left : mapping of stage to sequence over group of GroupRows
        Of `residuals`.
    rows : int
        Of the table.

    Returns
    -------
    ndarray, shape (stage, stage), or None
        None where stages are independent, as far as the rows can tell.
    """
    scores = np.column_stack([_scores(groups, rows) for groups in left.values()])
    count = scores.shape[1]
    correlation = np.eye(count)
    for i in range(count):
        for j in range(i):
            both = np.isfinite(scores[:, i]) & np.isfinite(scores[:, j])
            if both.sum() < _FEWEST_ROWS:
                continue
            found = float(np.corrcoef(scores[both, i], scores[both, j])[0, 1])
            if abs(found) > _SURE / np.sqrt(both.sum()):
                correlation[i, j] = correlation[j, i] = found
    if np.array_equal(correlation, np.eye(count)):
        return None
    return _nearest(correlation)


def residuals(groups: Sequence[Regression], tree: GroupTree, drawn: StageDraws) -> list[GroupRows]:
    """Return what the mean of a stage's draws leaves of its rows.

    Parameters
    ----------
    groups : sequence over group of Regression
    tree : GroupTree
    drawn : StageDraws

    Returns
    -------
    list over group of GroupRows
    """
    effects = drawn.flat_effects.mean(axis=0)
    return [
        (position, response - design @ effects[tree.node_of(group)])
        for group, (position, design, response) in enumerate(groups)
    ]


def _scores(groups: Sequence[GroupRows], rows: int) -> NDArray[np.float64]:
    """Normal scores of a stage's residuals, NaN where it was not measured. Shape (row,)."""
    scores = np.full(rows, np.nan)
    for position, left in groups:
        if len(position) >= 2:
            scores[position] = ndtri((pd.Series(left).rank().to_numpy() - 0.5) / len(left))
    return scores


def _nearest(correlation: NDArray[np.float64]) -> NDArray[np.float64]:
    """Make pairwise correlations those of one distribution. Shape (stage, stage)."""
    values, vectors = np.linalg.eigh(correlation)
    found = (vectors * np.maximum(values, 1e-6)) @ vectors.T
    scale = np.sqrt(np.diag(found))
    nearest: NDArray[np.float64] = found / np.outer(scale, scale)
    return nearest
