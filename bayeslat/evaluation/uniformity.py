"""Whether ranks are uniform: an exact simultaneous test, for simulation-based calibration.

A parameter drawn from its prior has, among draws of the posterior of data simulated from it, a
uniform rank (Talts, Betancourt, Simpson, Vehtari and Gelman 2018). The test asks whether the
empirical distribution function of the ranks leaves an envelope anywhere, which sees a shift, wrong
widths and wrong tails alike (Säilynoja, Bürkner and Vehtari 2022, section 2).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom

from bayeslat.evaluation.holm import adjust_holm

__all__ = ["KEPT", "Ranks", "rank_among", "uniformity_p"]

type Array = NDArray[np.float64]

_BINS = 20

KEPT = 99
"""Draws that a truth is ranked among: the ranks fill equal bins."""


@dataclass(frozen=True, eq=False)
class Ranks:
    """Ranks of true parameters among draws, over simulations.

    Attributes
    ----------
    names : tuple over parameter of str
    ranks : ndarray of int, shape (simulation, parameter)
        Between 0 and `KEPT`.
    """

    names: tuple[str, ...]
    ranks: NDArray[np.int64]

    @property
    def p_values(self) -> dict[str, float]:
        """Exact p-value of each parameter's uniformity, before adjustment for their number."""
        return {name: uniformity_p(self.ranks[:, i], KEPT) for i, name in enumerate(self.names)}

    @property
    def worst(self) -> tuple[str, float]:
        """The parameter with the smallest p-value, and that after Holm's adjustment."""
        p = self.p_values
        name = min(p, key=lambda each: p[each])
        return name, float(adjust_holm(list(p.values())).min())


def rank_among(truth: Array, draws: Array) -> NDArray[np.int64]:
    """Count the draws below each parameter's truth.

    Parameters
    ----------
    truth : ndarray, shape (parameter,)
    draws : ndarray, shape (draw, parameter)

    Returns
    -------
    ndarray of int, shape (parameter,)
        Between 0 and the number of draws.
    """
    return np.sum(draws < truth, axis=0)


def uniformity_p(ranks: NDArray[np.int64], draws: int, bins: int = _BINS) -> float:
    """Exact p-value that the ranks of one parameter are uniform on 0, ..., draws.

    The statistic is the smallest two-sided binomial tail of the ranks below any edge of equal bins;
    the p-value is the chance of a smaller one, which the counts' Markov chain from edge to edge
    gives without simulation (Säilynoja, Bürkner and Vehtari 2022, algorithm 2).

    Parameters
    ----------
    ranks : ndarray of int, shape (simulation,)
    draws : int
        With `bins` a divisor of draws + 1, so that every bin is equally likely.
    bins : int

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If the bins do not divide the ranks.
    """
    if (draws + 1) % bins:
        raise ValueError(f"{bins} bins do not divide the {draws + 1} ranks of {draws} draws")
    size = len(ranks)
    edges = np.arange(1, bins) / bins
    below = np.array([np.sum(ranks < edge * (draws + 1)) for edge in edges])
    observed = min(_two_sided(below[i : i + 1], size, edge)[0] for i, edge in enumerate(edges))

    counts = np.arange(size + 1)
    inside = (counts == 0).astype(float)  # P(count at the last edge, never outside so far)
    last = 0.0
    for edge in edges:
        chance = (edge - last) / (1 - last)
        step = binom.pmf(counts[None] - counts[:, None], size - counts[:, None], chance)
        inside = (inside @ step) * (_two_sided(counts, size, edge) > observed * (1 + 1e-9))
        last = edge
    return float(np.clip(1.0 - inside.sum(), 0.0, 1.0))


def _two_sided(counts: NDArray[np.int64], size: int, chance: float) -> Array:
    """Twice the smaller tail of a binomial count, the count included."""
    low, high = binom.cdf(counts, size, chance), binom.sf(counts - 1, size, chance)
    tails: Array = 2 * np.minimum(low, high)
    return tails
