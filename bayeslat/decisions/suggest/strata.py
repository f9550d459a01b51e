"""Operating regions that a batch is to cover."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

__all__ = ["BANDS", "Strata", "bands_of", "strata_of"]

BANDS = 5
"""Of the expected total latency, or of a number; fewer where there are few different values."""
_MOST_VALUES = 10  # of a number, with a stratum each


@dataclass(frozen=True, eq=False)
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
        Configurations of each that were measured before, candidates or not, or chosen since.
    unplaced : int
        Measured configurations that are no candidates, of which nobody knows the stratum.
    """

    names: tuple[str, ...]
    labels: NDArray[np.int64]
    sizes: NDArray[np.int64]
    taken: NDArray[np.int64]
    unplaced: int = 0

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
    values: pd.Series,
    distinct: NDArray[np.bool_],
    measured: NDArray[np.bool_],
    elsewhere: pd.Series | int = 0,
) -> Strata:
    """Make a stratum of each value; of numbers with more than ten values, bands of equal size.

    Parameters
    ----------
    values : Series, one row a candidate
        None of them missing.
    distinct, measured : ndarray of bool, shape (candidate,)
        Which candidates are not like an earlier one; which of those were measured.
    elsewhere : Series, one row a measured config that is no candidate, or int
        Their values: each counts for the stratum of its value, if there is one; numbers beyond the
        candidates' for the first or last band. Where nobody knows the values, how many there are.

    Returns
    -------
    Strata
        In the order of the values.
    """
    known = pd.Series(dtype=float) if isinstance(elsewhere, int) else elsewhere
    unplaced = elsewhere if isinstance(elsewhere, int) else 0
    if pd.api.types.is_numeric_dtype(values) and values.nunique() > _MOST_VALUES:
        numbers = values.to_numpy(dtype=float)
        labels, others = _bands(numbers, distinct, known.to_numpy(dtype=float))
        names = _spans(numbers, labels)
    else:
        labels, found = pd.factorize(values, sort=True)
        others = _among(pd.Index(found), known)
        names = [str(value) for value in found]
    return replace(_count(names, labels, distinct, measured, others), unplaced=unplaced)


def bands_of(
    log_total: NDArray[np.float64],
    distinct: NDArray[np.bool_],
    measured: NDArray[np.bool_],
    elsewhere: NDArray[np.float64] | None = None,
) -> Strata:
    """Make strata of equal size by the expected total latency.

    Parameters
    ----------
    log_total : ndarray, shape (candidate,)
        Log of the expected total in ms.
    distinct, measured : ndarray of bool, shape (candidate,)
        As `strata_of` takes them.
    elsewhere : ndarray, shape (config,), optional
        The same of measured configurations that are no candidates; those beyond the candidates
        count for the first or last band.

    Returns
    -------
    Strata
        `BANDS` of them, from fast to slow.
    """
    known = np.empty(0) if elsewhere is None else elsewhere
    labels, others = _bands(log_total, distinct, known)
    names = [f"{span} ms" for span in _spans(np.exp(log_total), labels)]
    return _count(names, labels, distinct, measured, others)


def _bands(
    values: NDArray[np.float64], distinct: NDArray[np.bool_], elsewhere: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Cut numbers into bands with as many distinct candidates each.

    Returns
    -------
    labels : ndarray of int, shape (candidate,)
    others : ndarray of int, shape (config,)
        The bands of numbers that are of no candidate.
    """
    inner = np.linspace(0.0, 1.0, BANDS + 1)[1:-1]
    edges = np.unique(np.quantile(values[distinct], inner))
    held, labels = np.unique(np.searchsorted(edges, values), return_inverse=True)
    others = np.searchsorted(held, np.searchsorted(edges, elsewhere))
    return labels, np.minimum(others, len(held) - 1)


def _among(found: pd.Index, values: pd.Series) -> NDArray[np.int64]:
    """Number values as they are found; those that are not found are left out. Shape (config,)."""
    if pd.api.types.is_numeric_dtype(found.dtype):
        found, values = found.astype(float), values.astype(float)
    position = found.get_indexer(pd.Index(values))
    return position[position >= 0].astype(np.int64)


def _spans(values: NDArray[np.float64], labels: NDArray[np.int64]) -> list[str]:
    """Name the range of each band."""
    bands = [values[labels == band] for band in range(labels.max() + 1)]
    return [f"{band.min():.4g} to {band.max():.4g}" for band in bands]


def _count(
    names: list[str],
    labels: NDArray[np.int64],
    distinct: NDArray[np.bool_],
    measured: NDArray[np.bool_],
    elsewhere: NDArray[np.int64],
) -> Strata:
    """Count what is in each stratum."""
    labels = labels.astype(np.int64)
    return Strata(
        names=tuple(names),
        labels=labels,
        sizes=np.bincount(labels[distinct], minlength=len(names)),
        taken=np.bincount(np.append(labels[measured], elsewhere), minlength=len(names)),
    )
