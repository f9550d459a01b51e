"""The errors of a window's rows under no drift: heavy tails, what repeats and neighbours share."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from bayeslat.evaluation.drift.misfit import Misfit, estimate_misfit
from bayeslat.evaluation.drift.window import Window
from bayeslat.model.student_t import draw_student_t

__all__ = ["RowErrors", "row_errors"]

_LEAST_WITHIN = 0.05  # of the variance: repeats are never wholly alike
_EFFICIENCY = 0.37  # of a median of absolute differences, beside their mean square
_PAIRS = 200_000  # for the median difference of two errors


@dataclass(frozen=True)
class RowErrors:
    """How the errors of a window's rows go together.

    What physics and correction miss at a configuration, all of its repeats miss: the part `within`
    of the variance is each run's own, the rest is shared. Some of that, configurations close by
    miss too.

    Attributes
    ----------
    config : ndarray of int, shape (row,)
    dof : float
        Of the Student-t.
    within : float
        The part as estimated from the window.
    pairs : int
        Of repeats that tell it.
    misfit : Misfit or None
        What neighbours share; None for nothing.
    """

    config: NDArray[np.int64]
    dof: float
    within: float
    pairs: int
    misfit: Misfit | None = None

    @property
    def repeated(self) -> bool:
        """Whether any configuration is."""
        return self.pairs > 0

    def draw(self, count: int, rng: np.random.Generator) -> NDArray[np.float64]:
        """Draw errors of scale 1. Shape (row, draw).

        The part within is drawn too, as the few repeats leave it open: its estimate is about
        chi-squared, with the pairs' number of degrees of freedom.
        """
        own = self._noise((len(self.config), count), rng)
        misfit, left = np.zeros(1), np.ones(count)
        if self.misfit is not None:
            misfit, left = self.misfit.draw(count, rng)
        if not self.repeated:
            return np.asarray(np.sqrt(left) * own + misfit)
        freedom = max(_EFFICIENCY * self.pairs, 1.0)
        within = self.within * freedom / rng.chisquare(freedom, count)
        within = np.minimum(np.clip(within, _LEAST_WITHIN, 1.0), left)
        part = np.where(self._often[:, None], within, left)
        shared = self._noise((int(self.config.max()) + 1, count), rng)[self.config]
        errors: NDArray[np.float64] = np.sqrt(part) * own + np.sqrt(left - part) * shared + misfit
        return errors

    def weigh(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Multiply by the inverse of the rows' covariance. Shapes (row, ...) to (row, ...).

        As if neighbours shared nothing. Of a configuration with r rows and the part w within:
        (x - (1 - w) r / (w + (1 - w) r) mean(x)) / w.
        """
        if not self.repeated:
            return values
        counts = np.bincount(self.config).astype(float)
        member = sparse.csr_array(
            (np.ones(len(self.config)), (self.config, np.arange(len(self.config))))
        )
        shared = np.where(counts > 1, 1.0 - self.within, 0.0)
        own = 1.0 - shared
        off = (shared / (own + shared * counts))[:, None] * (member @ values)
        weighed: NDArray[np.float64] = (values - off[self.config]) / own[self.config][:, None]
        return weighed

    @cached_property
    def _often(self) -> NDArray[np.bool_]:
        """Whether a row has repeats. Shape (row,)."""
        often: NDArray[np.bool_] = np.bincount(self.config)[self.config] > 1
        return often

    @cached_property
    def covariance(self) -> NDArray[np.float64] | None:
        """Of the rows, misfit and all; None without any. Shape (row, row)."""
        if self.misfit is None:
            return None
        left = self.misfit.mean_left
        own = np.where(self._often, min(self.within, left), left)
        same = self.config[:, None] == self.config[None, :]
        covariance = self.misfit.covariance + np.where(same, (left - own)[:, None], 0.0)
        covariance[np.diag_indices_from(covariance)] += own
        return covariance

    def _noise(self, shape: tuple[int, int], rng: np.random.Generator) -> NDArray[np.float64]:
        return draw_student_t(shape, self.dof, rng)


def row_errors(window: Window) -> RowErrors:
    """Estimate from a window what part of the noise its repeats and its neighbours share.

    Repeats: from the differences of successive repeats of a configuration, which neither a drift
    nor what they share reaches (von Neumann 1941), by their median, which outliers do not reach.
    Neighbours: see `estimate_misfit`.

    Parameters
    ----------
    window : Window

    Returns
    -------
    RowErrors
    """
    order = np.argsort(window.config, kind="stable")
    same = np.diff(window.config[order]) == 0
    apart = np.abs(np.diff(window.error[order]))[same]
    if not len(apart):
        return RowErrors(window.config, window.dof, 1.0, 0, estimate_misfit(window, 1.0))
    within = float((np.median(apart) / _median_difference(window.dof)) ** 2)
    within = float(np.clip(within, _LEAST_WITHIN, 1.0))
    misfit = estimate_misfit(window, 1.0 - within)
    return RowErrors(window.config, window.dof, within, len(apart), misfit)


@lru_cache(maxsize=16)
def _median_difference(dof: float) -> float:
    """Median of |difference| of two errors of scale 1."""
    first, second = draw_student_t((2, _PAIRS), dof, np.random.default_rng(0))
    return float(np.median(np.abs(first - second)))
