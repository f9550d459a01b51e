"""A window's errors with outliers calmed, before and after a change apart."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from bayeslat.evaluation.drift.scores import Scores, clip_errors
from bayeslat.inference.rows.pilot import Pilot, fit_pilot
from bayeslat.inference.rows.repeats import row_weights
from bayeslat.model.student_t import MOST_DOF

__all__ = ["Calmed", "calm_window", "find_start"]

_MOVE_SD = 0.5  # log latency: how far effects may have moved
_LEAST_ROWS = 5  # of a part that is fitted apart
_MEETINGS = 5  # of the two fits


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
    size = np.diagonal(scores.scatter, axis1=1, axis2=2)
    square = found**2 / np.where(scores.told, size, np.inf)
    return int(scores.course.starts[square.max(axis=1).argmax()])


def calm_window(scores: Scores, start: int) -> Calmed:
    """Fit the rows before and after a change, and replace their errors by pseudo-values.

    Huber's (1981, section 7.10), as the fit does. A large change would make outliers of all rows
    after it, so they have a fit of their own; the start moves to where the two fits meet best.

    Parameters
    ----------
    scores : Scores
    start : int
        First row after the change; 0 for a change before the window.

    Returns
    -------
    Calmed
    """
    window = scores.window
    count = len(window)
    cut = start if _LEAST_ROWS <= start <= count - _LEAST_ROWS else 0
    parts = _fit_parts(scores, cut)
    for _ in range(_MEETINGS):
        if not cut or (better := _meet(scores, cut, parts)) == cut:
            break
        cut = better
        parts = _fit_parts(scores, cut)
    error = np.concatenate([pilot.pseudo_values(window.dof) for pilot, _ in parts])
    free = sum(used for _, used in parts)
    square = sum(used * pilot.sd**2 for pilot, used in parts)
    ratio = float(np.sqrt(square / free)) / window.noise_sd
    # Information about a Student-t's log scale: 2 dof / (dof + 3) a row (Lange et al. 1989).
    part = 1.0 if np.isinf(window.dof) else window.dof / (window.dof + 3.0)
    spread = np.sqrt(1.0 / (2.0 * part * free) + np.log(window.noise).var())
    reach = float(np.exp(ndtri(0.95) * spread))
    return Calmed(error / window.noise_sd, ratio, ratio / reach, ratio * reach)


def _fit_parts(scores: Scores, cut: int) -> list[tuple[Pilot, float]]:
    """Fit the rows before and after a cut; with how many rows each leaves to tell the noise."""
    window = scores.window
    prior = np.full(window.design.shape[1], _MOVE_SD)
    parts = []
    for rows in [slice(0, cut), slice(cut, None)] if cut else [slice(None)]:
        weights = row_weights(window.config[rows], 1.0 - scores.errors.within)
        response = window.error[rows] * window.noise_sd  # pilots are in log latency
        pilot = fit_pilot(window.design[rows], response, weights, prior, window.dof)
        used = float(weights.sum() - pilot.leverage.sum())
        parts.append((pilot, max(used, 0.2 * float(weights.sum()))))
    return parts


def _meet(scores: Scores, cut: int, parts: list[tuple[Pilot, float]]) -> int:
    """Return the cut at which the two fits together make the rows likeliest."""
    window = scores.window
    count = len(window)
    dof = min(window.dof, MOST_DOF)
    surprise = []
    for rows, (pilot, _) in zip((slice(0, cut), slice(cut, None)), parts, strict=True):
        effects = np.linalg.lstsq(window.design[rows], pilot.fitted, rcond=1e-10)[0]
        left = window.error - window.design @ effects / window.noise_sd
        surprise.append(0.5 * (dof + 1.0) * np.log1p(left**2 / dof))
    before, after = surprise
    total = np.cumsum(before - after)  # of a cut after each row, less that of one before them all
    cuts = np.arange(_LEAST_ROWS, count - _LEAST_ROWS + 1)
    return int(cuts[total[cuts - 1].argmin()])
