"""What of a window's errors would follow a drift: four statistics, each for a kind of drift."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from bayeslat.evaluation.drift.course import Course
from bayeslat.evaluation.drift.row_errors import RowErrors
from bayeslat.evaluation.drift.window import Window

__all__ = ["TESTS", "Scores", "clip_errors", "posterior_covariance"]

TESTS = ("movement", "noise", "direction", "since")
"""All effects together; larger errors; one effect in the whole window; one from some row on."""

_FARTHEST = 3.0  # times the noise: beyond, an error counts as much as there
_FREE_SD = 0.5  # log latency: how far effects may move where only the noise is judged
_RANK = 1e-9  # of the largest eigenvalue; what is below is none
_NO_INFORMATION = 1e-6  # of the most that any direction has


def clip_errors(errors: NDArray[np.float64], dof: float) -> NDArray[np.float64]:
    """Limit the pull of outliers: the score of a Student-t, constant from its highest value on.

    A redescending score would overlook a large drift; Huber's (1981, section 4.5) does not.

    Parameters
    ----------
    errors : ndarray
        Over the noise.
    dof : float

    Returns
    -------
    ndarray
        Scaled so that small errors stay as they are, up to the slope at zero.
    """
    if np.isinf(dof):
        return np.clip(errors, -_FARTHEST, _FARTHEST)
    edge = min(np.sqrt(dof), _FARTHEST)
    held = np.clip(errors, -edge, edge)
    clipped: NDArray[np.float64] = (dof + 1.0) * held / (dof + held**2)
    return clipped


def posterior_covariance(window: Window) -> NDArray[np.float64]:
    """Covariance of the effects over the squared noise. Shape (feature, feature).

    The posterior's, and what the fit may be off by.
    """
    allowed: NDArray[np.float64] = window.allowed @ window.allowed.T
    return np.atleast_2d(np.cov(window.departures.T)) + allowed


@dataclass(frozen=True)
class Scores:
    """A window's score statistics.

    Under no drift, errors e = Z b + n with b ~ Normal(0, C), the posterior's uncertainty, and n of
    covariance V. The score of a change d of the rows from a start on is
    d' (V + Z C Z')^-1 e = d' V^-1 e - d' V^-1 Z K Z' V^-1 e with K = (I + C Z' V^-1 Z)^-1 C: the
    rows before it help to say what was there before (Cox and Hinkley 1974, section 9.3; for an
    unknown start the largest is taken, as in Andrews 1993).

    V leaves out what neighbours share: with it, scores would hang on the finest differences between
    them, which a stationary covariance describes badly. What they share decides how far the scores
    scatter (a working covariance: Liang and Zeger 1986).

    Attributes
    ----------
    window : Window
    errors : RowErrors
    course : Course
    """

    window: Window
    errors: RowErrors
    course: Course

    @cached_property
    def columns(self) -> NDArray[np.float64]:
        """Directions of a change: each feature, and all terms alike. Shape (row, direction)."""
        design = self.window.design
        together = design[:, : len(self.window.terms)].sum(axis=1, keepdims=True)
        return np.concatenate([design, together], axis=1)

    @cached_property
    def weighed(self) -> NDArray[np.float64]:
        """V^-1 Z. Shape (row, feature)."""
        return self.errors.weigh(self.window.design)

    @cached_property
    def gram(self) -> NDArray[np.float64]:
        """Z' V^-1 Z. Shape (feature, feature)."""
        return self.window.design.T @ self.weighed

    @cached_property
    def covariance(self) -> NDArray[np.float64]:
        """Of the effects, C. Shape (feature, feature)."""
        return posterior_covariance(self.window)

    @cached_property
    def gain(self) -> NDArray[np.float64]:
        """K: from scores to what they say of the effects. Shape (feature, feature)."""
        size = len(self.gram)
        gain: NDArray[np.float64] = np.linalg.solve(
            np.eye(size) + self.covariance @ self.gram, self.covariance
        )
        return 0.5 * (gain + gain.T)

    @cached_property
    def crossed(self) -> NDArray[np.float64]:
        """D' V^-1 Z of the rows from each start on. Shape (start, direction, feature)."""
        return self.course.sums(self.columns[:, :, None] * self.weighed[:, None, :])

    @cached_property
    def information(self) -> NDArray[np.float64]:
        """D' (V + Z C Z')^-1 D from each start on. Shape (start, direction, direction)."""
        found = []
        for late, crossed in zip(self._late, self.crossed, strict=True):
            found.append(late.T @ self.errors.weigh(late) - crossed @ self.gain @ crossed.T)
        return np.array(found)

    @cached_property
    def scatter(self) -> NDArray[np.float64]:
        """Covariance of the scores under no drift. Shape (start, direction, direction).

        The information, where neighbours share nothing; else D' W (U + Z C Z') W D with
        W = (V + Z C Z')^-1 and U the covariance of the errors, misfit and all.
        """
        covariance = self.errors.covariance
        if covariance is None:
            return self.information
        found = []
        for late, crossed in zip(self._late, self.crossed, strict=True):
            pull = self.errors.weigh(late) - self.weighed @ (self.gain @ crossed.T)
            known = pull.T @ self.window.design
            found.append(pull.T @ (covariance @ pull) + known @ self.covariance @ known.T)
        return np.array(found)

    def likelihood(
        self, scores: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Scores and information of a likelihood whose curvature is what its scores scatter by.

        With scores h, information J and scatter S: J S^-1 h and J S^-1 J (Chandler and Bate 2007,
        Biometrika 94, for likelihoods that take dependent rows as independent).

        Parameters
        ----------
        scores : ndarray, shape (start, direction)

        Returns
        -------
        scores : ndarray, shape (start, direction)
        information : ndarray, shape (start, direction, direction)
        """
        if self.errors.misfit is None:
            return scores, self.information
        pull = self.information @ np.linalg.pinv(self.scatter, rcond=_RANK, hermitian=True)
        return np.einsum("sij,sj->si", pull, scores), pull @ self.information

    @property
    def _late(self) -> Iterator[NDArray[np.float64]]:
        """Columns of the rows from each start on, 0 before."""
        position = np.arange(len(self.window))[:, None]
        return (self.columns * (position >= start) for start in self.course.starts)

    def of_changes(self, errors: NDArray[np.float64]) -> NDArray[np.float64]:
        """Scores of a change of each direction from each start on.

        Parameters
        ----------
        errors : ndarray, shape (row, draw)
            As they are to count.

        Returns
        -------
        ndarray, shape (start, direction, draw)
        """
        weighed = self.errors.weigh(errors)
        ends = [*self.course.starts[1:], len(self.window)]
        parts = np.array(
            [
                self.columns[start:end].T @ weighed[start:end]
                for start, end in zip(self.course.starts, ends, strict=True)
            ]
        )
        late = np.cumsum(parts[::-1], axis=0)[::-1]
        known = self.gain @ late[0, : len(self.gram)]
        scores: NDArray[np.float64] = late - self.crossed @ known
        return scores

    @cached_property
    def told(self) -> NDArray[np.bool_]:
        """Of which changes the window says anything. Shape (start, direction)."""
        size = np.diagonal(self.information, axis1=1, axis2=2)
        return size > _NO_INFORMATION * max(float(size.max(initial=0.0)), 1e-300)

    def statistics(self, errors: NDArray[np.float64]) -> NDArray[np.float64]:
        """All statistics of a window with given errors.

        Parameters
        ----------
        errors : ndarray, shape (row, draw)

        Returns
        -------
        ndarray, shape (test, draw)
            In the order of `TESTS`; the larger, the less expected.
        """
        held = clip_errors(errors, self.window.dof)
        scores = self.of_changes(held)
        whole = scores[0, : len(self.gram)]
        movement = np.sum(whole * (self._whole_inverse @ whole), axis=0)
        size = np.diagonal(self.scatter, axis1=1, axis2=2)
        square = scores**2 / np.where(self.told, size, np.inf)[:, :, None]
        free = held - self.window.design @ (self._free_gain @ (self.weighed.T @ held))
        noise = np.mean(np.minimum(free**2, _FARTHEST**2), axis=0)
        direction = square[0].max(axis=0)
        since = square[1:].max(axis=(0, 1)) if len(square) > 1 else np.zeros_like(direction)
        return np.stack([movement, noise, direction, since])

    @cached_property
    def _whole_inverse(self) -> NDArray[np.float64]:
        """Pseudo-inverse of what the scores of the whole window scatter by."""
        size = len(self.gram)
        inverse: NDArray[np.float64] = np.linalg.pinv(
            self.scatter[0, :size, :size], rcond=_RANK, hermitian=True
        )
        return inverse

    @cached_property
    def _free_gain(self) -> NDArray[np.float64]:
        """As `gain`, for effects that may have moved anywhere."""
        little = (self.window.noise_sd / _FREE_SD) ** 2
        gain: NDArray[np.float64] = np.linalg.inv(self.gram + little * np.eye(len(self.gram)))
        return gain
