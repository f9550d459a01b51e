"""A window's errors with outliers calmed, before and after a change apart."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from bayeslat.evaluation.drift.scores import Scores, clip_errors
from bayeslat.inference.pilot import fit_pilot
from bayeslat.inference.repeats import row_weights

__all__ = ["Calmed", "calm_window", "find_start"]

_MOVE_SD = 0.5  # log latency: how far effects may have moved
_LEAST_ROWS = 5  # of a part that is fitted apart


@dataclass(frozen=True)
class Calmed:
    """A window's errors as Gaussian ones.

    Attributes
    ----------
    error : ndarray, shape (row,)
        Pseudo-values, over the typical noise.
    noise_ratio, noise_low, noise_high : float
        Noise of the window over that of the posterior, and its 90 % interval.
    """

    error: NDArray[np.float64]
    noise_ratio: float
    noise_low: float
    noise_high: float


def find_start(scores: Scores) -> int:
    """Return the row from which on one direction's score is largest; 0 for all of them."""
    window = scores.window
    found = scores.of_changes(clip_errors(window.error, window.dof)[:, None])[:, :, 0]
    size = np.diagonal(scores.information, axis1=1, axis2=2)
    square = found**2 / np.where(scores.told, size, np.inf)
    return int(scores.course.starts[square.max(axis=1).argmax()])


def calm_window(scores: Scores, start: int) -> Calmed:
    """Fit the rows before and after a change, and replace their errors by pseudo-values.

    Huber's (1981, section 7.10), as the fit does. A large change would make outliers of all rows
    after it, so they have a fit of their own.

    Parameters
    ----------
    scores : Scores
    start : int
        First row after the change.

    Returns
    -------
    Calmed
    """
    window, within = scores.window, scores.errors.within
    count = len(window)
    cut = start if _LEAST_ROWS <= start <= count - _LEAST_ROWS else 0
    error = np.empty(count)
    square, free = 0.0, 0.0
    # Pilots start in log latency: the errors, which are over the typical noise, go back to it.
    prior = np.full(window.design.shape[1], _MOVE_SD)
    for rows in (slice(0, cut), slice(cut, count)):
        if rows.start == rows.stop:
            continue
        weights = row_weights(window.config[rows], 1.0 - within)
        pilot = fit_pilot(
            window.design[rows], window.error[rows] * window.noise_sd, weights, prior, window.dof
        )
        error[rows] = pilot.pseudo_values(window.dof) / window.noise_sd
        used = max(float(weights.sum() - pilot.leverage.sum()), 0.2 * float(weights.sum()))
        square += used * (pilot.sd / window.noise_sd) ** 2
        free += used
    ratio = float(np.sqrt(square / free))
    # Information about a Student-t's log scale: 2 dof / (dof + 3) a row (Lange et al. 1989).
    part = 1.0 if np.isinf(window.dof) else window.dof / (window.dof + 3.0)
    spread = np.sqrt(1.0 / (2.0 * part * free) + np.log(window.noise).var())
    reach = float(np.exp(ndtri(0.95) * spread))
    return Calmed(error, ratio, ratio / reach, ratio * reach)
