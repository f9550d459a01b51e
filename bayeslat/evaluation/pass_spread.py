"""How much passes over the configurations differ: what few of them leave open of it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["PASS_SDS", "VAGUE", "pass_sd_quantiles", "weigh_pass_sds"]

type Array = NDArray[np.float64]

PASS_SDS: Array = np.concatenate([[0.0], np.geomspace(1e-4, 0.5, 800)])
"""Sds of passes, in log latency. Shape (sd,)."""

_TYPICAL_SD = 0.03
_SLAB = PASS_SDS / (1.0 + (PASS_SDS / _TYPICAL_SD) ** 2)  # half-Cauchy, over even steps of the log
VAGUE: Array = 0.5 * np.where(PASS_SDS == 0.0, 1.0, _SLAB / _SLAB.sum())
"""Their probabilities before any was measured. Shape (sd,).

Alike with probability a half, so that noise alone does not speak for a difference (Mitchell and
Beauchamp 1988, Journal of the American Statistical Association 83, p. 1023); else half-Cauchy,
which bounds the sd where passes are few (Gelman 2006, Bayesian Analysis 1, p. 515). Its scale, 3 %,
is between what was seen of machines with one user (0.3 %) and with several (30 %).
"""

_LEAST_VARIANCE = 1e-12


def weigh_pass_sds(effect: Array, effect_sd: Array, prior: Array = VAGUE) -> Array:
    """Return the probability of each sd of passes, given how far some were apart.

    With P passes, their mean square M and what noise adds to it, v, the restricted likelihood is
    that of (P - 1) M / (s^2 + v) ~ chi-square with P - 1 degrees of freedom (Patterson and Thompson
    1971, Biometrika 58, p. 545): exact if each pass measured each configuration.

    Parameters
    ----------
    effect, effect_sd : ndarray, shape (pass,)
        As of `PassEffects`.
    prior : ndarray, shape (sd,)

    Returns
    -------
    ndarray, shape (sd,)
    """
    free = len(effect) - 1
    total = PASS_SDS**2 + max(float(np.sum(effect_sd**2)) / free, _LEAST_VARIANCE)
    log_likelihood = -0.5 * (free * np.log(total) + float(np.sum(effect**2)) / total)
    weights = prior * np.exp(log_likelihood - log_likelihood.max())
    probabilities: Array = weights / weights.sum()
    return probabilities


def pass_sd_quantiles(probabilities: Array, at: Sequence[float]) -> Array:
    """Return quantiles of the sd of passes. Shape of `at`."""
    return PASS_SDS[np.searchsorted(np.cumsum(probabilities), np.asarray(at) * (1 - 1e-12))]
