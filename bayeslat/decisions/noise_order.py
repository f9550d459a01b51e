"""The order in which a stage's noise meets the draws, so that noisy stages are noisy together."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from bayeslat.inference.posteriors.posterior import PosteriorData
from bayeslat.inference.rows.strata import stratified_normal

__all__ = ["noise_orders"]


def noise_orders(data: PosteriorData, draws: int, seed: int) -> Mapping[str, NDArray[np.int64]]:
    """Rank the noise of each draw, stage by stage.

    Ranks of normals with the stages' correlation (Iman and Conover 1982): each stage keeps its own
    noise values, and the ranks bring them together.

    Parameters
    ----------
    data : PosteriorData
    draws : int
    seed : int

    Returns
    -------
    mapping of stage to ndarray of int, shape (draw,)
        Position of each draw's noise among the sorted ones; empty where stages are independent.
    """
    if data.noise_correlation is None:
        return {}
    rng = np.random.default_rng([seed, len(data.stages), 3])
    normals = stratified_normal((draws, len(data.stages)), rng)
    together = normals @ np.linalg.cholesky(data.noise_correlation).T
    ranks = np.argsort(np.argsort(together, axis=0), axis=0)
    return {stage: ranks[:, number] for number, stage in enumerate(data.stages)}
