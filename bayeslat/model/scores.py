"""Normal scores: coordinates in which the prior of every scale is standard normal.

A sampler moves scores. A scale that the data cannot tell from zero then has a Gaussian tail, where
its log would have a funnel; the scale whose score is t has the prior probability of t.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import erfcinv, erfinv, ndtr

__all__ = ["FARTHEST", "scales_from_scores"]

FARTHEST = 8.0
"""Beyond it, prior probability 1e-15, a scale stays; a sampler's first leaps get there."""


def scales_from_scores(
    scores: NDArray[np.float64], half_normal: NDArray[np.float64], normal: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Turn scores into scales.

    Parameters
    ----------
    scores : ndarray, shape (..., scale)
        Standard normal under the prior.
    half_normal : ndarray, shape (scale,)
        Scale of the half-normal prior; 0 where the prior is normal on the log (or logit).
    normal : ndarray, shape (scale, 2)
        Mean and sd of the normal priors.

    Returns
    -------
    scales : ndarray, shape (..., scale)
        Logs (or logits).
    slope : ndarray, shape (..., scale)
        Derivative of each by its score.
    """
    held = np.clip(scores, -FARTHEST, FARTHEST)
    size = _half_normal_size(held)
    positive = half_normal > 0
    scales = np.where(
        positive,
        np.log(np.where(positive, half_normal, 1.0) * size),
        normal[:, 0] + normal[:, 1] * held,
    )
    slope = np.where(positive, 0.5 * np.exp(0.5 * (size**2 - held**2)) / size, normal[:, 1])
    return scales, np.where(held == scores, slope, 0.0)


def _half_normal_size(score: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return x > 0 with P(|z| < x) = P(z < score), from the smaller of the two tails."""
    below = erfinv(ndtr(np.minimum(score, 0.0)))
    above = erfcinv(ndtr(-np.maximum(score, 0.0)))
    size: NDArray[np.float64] = np.sqrt(2.0) * np.where(score < 0, below, above)
    return size
