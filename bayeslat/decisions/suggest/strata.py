"""Operating regions that a batch is to cover."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

__all__ = ["BANDS", "Strata", "bands_of", "strata_of"]

BANDS = 5
"""Of the expected total latency; there are fewer where candidates are."""


@dataclass(frozen=True)
class Strata:
    """A partition of the candidates, and how often each part is measured.

    Attributes
    ----------
    names : tuple of str, length stratum
    labels : ndarray of int, shape (candidate,)
        Which stratum each is of.
    sizes : ndarray of int, shape (stratum,)
        Different configurations among the candidates.
    taken : ndarray of int, shape (stratum,)
        Those that were measured before, or chosen since.
    """

    names: tuple[str, ...]
    labels: NDArray[np.int64]
    sizes: NDArray[np.int64]
    taken: NDArray[np.int64]

    def open(self, left: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Say which candidates the next measurement may be taken from.

        Those of the stratum with the fewest measurements for its size. So each stratum gets one
        first, and then in proportion (Adams's method of apportionment; Balinski and Young 2001).

        Parameters
        ----------
        left : ndarray of bool, shape (candidate,)
            Those that may be chosen at all; one or more.

        Returns
        -------
        ndarray of bool, shape (candidate,)
            Part of `left`.
        """
        filled = np.full(len(self.sizes), np.inf)
        some = np.unique(self.labels[left])
        filled[some] = self.taken[some] / self.sizes[some]
        free: NDArray[np.bool_] = left & (filled == filled.min())[self.labels]
        return free

    def after(self, candidate: int) -> Strata:
        """Return the strata once a candidate is measured.

        Parameters
        ----------
        candidate : int
        """
        taken = self.taken.copy()
        taken[self.labels[candidate]] += 1
        return replace(self, taken=taken)


def strata_of(
    values: pd.Series, distinct: NDArray[np.bool_], measured: NDArray[np.bool_]
) -> Strata:
    """Make a stratum of each value.

    Parameters
    ----------
    values : Series, one row a candidate
        None of them missing.
    distinct, measured : ndarray of bool, shape (candidate,)
        Which candidates are not like an earlier one; which of those were measured.

    Returns
    -------
    Strata
        In the order of the values.
    """
    labels, found = pd.factorize(values, sort=True)
    return _count([str(value) for value in found], labels, distinct, measured)


def bands_of(
    log_total: NDArray[np.float64], distinct: NDArray[np.bool_], measured: NDArray[np.bool_]
) -> Strata:
    """Make strata of equal size by the expected total latency.

    Parameters
    ----------
    log_total : ndarray, shape (candidate,)
        Log of the expected total in ms.
    distinct, measured : ndarray of bool, shape (candidate,)
        As `strata_of` takes them.

    Returns
    -------
    Strata
        `BANDS` of them, from fast to slow.
    """
    inner = np.linspace(0.0, 1.0, BANDS + 1)[1:-1]
    edges = np.unique(np.quantile(log_total[distinct], inner))
    _, labels = np.unique(np.searchsorted(edges, log_total), return_inverse=True)
    names = []
    for band in range(labels.max() + 1):
        ms = np.exp(log_total[labels == band])
        names.append(f"{ms.min():.4g} to {ms.max():.4g} ms")
    return _count(names, labels, distinct, measured)


def _count(
    names: list[str],
    labels: NDArray[np.int64],
    distinct: NDArray[np.bool_],
    measured: NDArray[np.bool_],
) -> Strata:
    """Count what is in each stratum."""
    return Strata(
        names=tuple(names),
        labels=labels.astype(np.int64),
        sizes=np.bincount(labels[distinct], minlength=len(names)),
        taken=np.bincount(labels[measured], minlength=len(names)),
    )
