"""Whether the noise of one run strikes several stages together."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri
from scipy.stats import rankdata

from bayeslat.inference.draws import StageDraws
from bayeslat.inference.prepare import PreparedStage

__all__ = ["correlate_noise"]

_FEWEST_ROWS = 30  # with both stages
_SURE = 3.0  # standard errors: a weaker correlation counts as none


def correlate_noise(
    prepared: Mapping[str, PreparedStage], drawn: Mapping[str, StageDraws], rows: int
) -> NDArray[np.float64] | None:
    """Estimate the correlation between the stages of a run, over all groups.

    Of the normal scores of what the fit leaves, within each group (van der Waerden): outliers have
    no pull, and how noisy a group is plays no part. It serves as the correlation of a Gaussian
    copula.

    Parameters
    ----------
    prepared : mapping of stage to PreparedStage
    drawn : mapping of stage to StageDraws
    rows : int
        Of the table.

    Returns
    -------
    ndarray, shape (stage, stage), or None
        None where stages are independent, as far as the rows can tell.
    """
    scores = np.column_stack([_scores(prepared[stage], drawn[stage], rows) for stage in prepared])
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


def _scores(stage: PreparedStage, drawn: StageDraws, rows: int) -> NDArray[np.float64]:
    """Normal scores of a stage's residuals, NaN where it was not measured. Shape (row,)."""
    effects = drawn.effects.reshape(-1, *drawn.effects.shape[2:]).mean(axis=0)
    scores = np.full(rows, np.nan)
    regression = stage.regression
    for group, position in enumerate(stage.positions):
        if len(position) < 2:
            continue
        node = stage.problem.tree.node_of(group)
        left = regression.responses[group] - regression.designs[group] @ effects[node]
        scores[position] = ndtri((rankdata(left) - 0.5) / len(left))
    return scores


def _nearest(correlation: NDArray[np.float64]) -> NDArray[np.float64]:
    """Make pairwise correlations those of one distribution. Shape (stage, stage)."""
    values, vectors = np.linalg.eigh(correlation)
    found = (vectors * np.maximum(values, 1e-6)) @ vectors.T
    scale = np.sqrt(np.diag(found))
    nearest: NDArray[np.float64] = found / np.outer(scale, scale)
    return nearest
