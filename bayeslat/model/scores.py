"""Normal scores: coordinates in which the prior of every scale is standard normal.

A sampler moves scores. A scale that the data cannot tell from zero then has a Gaussian tail, where
its log would have a funnel; the scale whose score is t has the prior probability of t.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from bayeslat.model.compiled import compiled

__all__ = ["scales_from_scores"]

_ROOT_HALF = math.sqrt(0.5)
_FARTHEST = (
    8.0  # beyond it, prior probability 1e-15, a scale stays; a sampler's first leaps get there
)
_STEPS = 7  # of Newton; quadratic from one side, so far more than double precision needs


@compiled
def _half_normal_size(score):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """Return x > 0 with P(|z| < x) = P(z < score) for standard normal z.

    Newton's steps approach from one side, since erf is concave and so is log erfc; each branch
    solves for the smaller of the two tails, and so keeps its relative precision.
    """
    lower = 0.5 * math.erfc(-score * _ROOT_HALF)
    if score < 0.0:
        x = lower * math.sqrt(0.5 * math.pi)
        for _ in range(_STEPS):
            density = math.sqrt(2.0 / math.pi) * math.exp(-0.5 * x * x)
            x += (lower - math.erf(x * _ROOT_HALF)) / density
        return x
    upper = 0.5 * math.erfc(score * _ROOT_HALF)
    x = score
    for _ in range(_STEPS):
        tail = math.erfc(x * _ROOT_HALF)
        density = math.sqrt(2.0 / math.pi) * math.exp(-0.5 * x * x)
        x += math.log(tail / upper) * tail / density
    return x


@compiled  # type: ignore[untyped-decorator]
def scales_from_scores(  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    scores: NDArray[np.float64], half_normal: NDArray[np.float64], normal: NDArray[np.float64]
):
    """Turn scores into scales.

    Parameters
    ----------
    scores : ndarray, shape (scale,)
        Standard normal under the prior.
    half_normal : ndarray, shape (scale,)
        Scale of the half-normal prior; 0 where the prior is normal on the log (or logit).
    normal : ndarray, shape (scale, 2)
        Mean and sd of the normal priors.

    Returns
    -------
    scales : ndarray, shape (scale,)
        Logs (or logits).
    slope : ndarray, shape (scale,)
        Derivative of each by its score.
    """
    scales = np.empty(scores.size)
    slope = np.empty(scores.size)
    for k in range(scores.size):
        score = min(max(scores[k], -_FARTHEST), _FARTHEST)
        if half_normal[k] > 0.0:
            x = _half_normal_size(score)
            scales[k] = math.log(half_normal[k] * x)
            slope[k] = 0.5 * math.exp(0.5 * (x * x - score * score)) / x
        else:
            scales[k] = normal[k, 0] + normal[k, 1] * score
            slope[k] = normal[k, 1]
        if score != scores[k]:
            slope[k] = 0.0
    return scales, slope
