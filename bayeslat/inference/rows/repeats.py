"""Rows that say the same twice: how much each counts.

What a stage's physics and smooth correction miss at a configuration, all of its repeats miss. They
average out the run-to-run noise, but not that. With the part ICC of the variance shared by r
repeats, the mean of them has the variance sigma^2 (1 + (r - 1) ICC) / r, so a row counts for
1 / (1 + (r - 1) ICC) rows: Kish's design effect (1965, Survey Sampling, section 5.4). And the
run-to-run median of a configuration lies off what was fitted, by the variance sigma^2 ICC.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayeslat.features.spec import Spec
from bayeslat.inference.rows.pilot import Pilot

__all__ = [
    "UNTOLD_CONFIGS",
    "UNTOLD_SHARED",
    "are_among",
    "count_configs",
    "number_configs",
    "pooled_shared_variance",
    "repeat_counts",
    "repeated_configs",
    "row_weights",
    "shared_prior",
    "shared_variance",
]

_OUTLIER = 3.0  # sd; residuals beyond are drawn in, so that one wild repeat does not decide
UNTOLD_SHARED = 0.5
"""Part of the variance that is a configuration's own, where nothing tells: the middle."""
UNTOLD_CONFIGS = 10.0
"""Repeated configurations that tell that part as well as what is known without any."""
_UNTOLD_ROWS = 2.0  # that what is known of it without repeats counts for
_FEWEST_REPEATED = 5  # configurations
_LEAST_POOLED, _MOST_POOLED = 0.01, 0.99  # nothing is all noise, or without any


def number_configs(configs: pd.DataFrame) -> NDArray[np.int64]:
    """Number the rows by their configuration: repeats have equal numbers. Shape (row,)."""
    hashed = pd.util.hash_pandas_object(configs, index=False).to_numpy()
    return np.unique(hashed, return_inverse=True)[1]


def are_among(some: pd.DataFrame, others: pd.DataFrame) -> NDArray[np.bool_]:
    """Tell which rows are like one of the others.

    Parameters
    ----------
    some, others : DataFrame, one row a config
        With equal columns.

    Returns
    -------
    ndarray of bool, shape (row,)
        Of `some`.
    """
    labels = number_configs(pd.concat([some, others], ignore_index=True))
    return np.isin(labels[: len(some)], labels[len(some) :])


def count_configs(frame: pd.DataFrame, spec: Spec) -> int:
    """Return how many configurations the rows are of, repeats counted once.

    Parameters
    ----------
    frame : DataFrame, one row a config or a measurement
    spec : Spec
    """
    same = frame[spec.config_columns(frame)]
    return len(np.unique(number_configs(same)))


def repeat_counts(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many rows are like each row, itself included. Shape (row,)."""
    return np.bincount(labels, minlength=1)[labels]


def row_weights(labels: NDArray[np.int64], shared: float) -> NDArray[np.float64]:
    """How many rows each row counts for.

    Parameters
    ----------
    labels : ndarray, shape (row,)
        Of `number_configs`.
    shared : float
        ICC: the part of the variance that repeats share; 1 leaves one row a configuration.

    Returns
    -------
    ndarray, shape (row,)
    """
    weights = 1.0 / (1.0 + (repeat_counts(labels) - 1) * shared)
    return np.asarray(weights, dtype=float)


def shared_variance(pilot: Pilot, labels: NDArray[np.int64]) -> float:
    """Estimate what part of the variance round a pilot fit repeats share (ICC, one-way ANOVA).

    Parameters
    ----------
    pilot : Pilot
        With a weight of 1 for each configuration.
    labels : ndarray, shape (row,)

    Returns
    -------
    float
        Between 0 and 1; 1, the cautious end, where too few configurations are repeated.
    """
    if repeated_configs(labels) < _FEWEST_REPEATED:
        return 1.0
    counts = repeat_counts(labels)
    repeated = counts > 1
    limit = _OUTLIER * pilot.sd
    residual = np.clip(pilot.residual, -limit, limit)
    means = np.bincount(labels, residual) / np.bincount(labels)
    within = residual - means[labels]
    noise = np.sum(within[repeated] ** 2) / np.sum(1.0 - 1.0 / counts[repeated])
    weights = 1.0 / counts
    free = max(1.0 - np.sum(weights * pilot.leverage) / np.sum(weights), 0.2)
    total = np.sum(weights * residual**2) / np.sum(weights) / free
    return float(np.clip(1.0 - noise / max(total, 1e-300), 0.0, 1.0))


def pooled_shared_variance(
    pilots: Sequence[Pilot], labels: Sequence[NDArray[np.int64]], untold: float
) -> tuple[float, float]:
    """Average `shared_variance` over groups, by how many of their configurations are repeated.

    The few repeats of few configurations hardly tell: the average starts from `untold`.

    Parameters
    ----------
    pilots : sequence over group of Pilot
    labels : sequence over group of ndarray, shape (row,)
    untold : float
        What is expected without repeats.

    Returns
    -------
    shared : float
        Between 0.01 and 0.99.
    configs : float
        Repeated configurations that told it, with those that `untold` counts for.
    """
    told, configs = untold * UNTOLD_CONFIGS, UNTOLD_CONFIGS
    for pilot, numbers in zip(pilots, labels, strict=True):
        repeated = repeated_configs(numbers)
        if repeated >= _FEWEST_REPEATED:
            told += repeated * shared_variance(pilot, numbers)
            configs += repeated
    return min(max(told / configs, _LEAST_POOLED), _MOST_POOLED), configs


def shared_prior(shared: float, configs: float = UNTOLD_CONFIGS) -> tuple[float, float]:
    """Return the Beta that says how well that part of the variance is known.

    It counts for two observations where no repeats tell (uniform round a half), for more as they
    do.

    Parameters
    ----------
    shared, configs : float
        Of `pooled_shared_variance`.

    Returns
    -------
    a, b : float
        Of a Beta(a, b); its mean is `shared`, within 0.01 and 0.99.
    """
    mean = min(max(shared, _LEAST_POOLED), _MOST_POOLED)
    counted = _UNTOLD_ROWS * configs / UNTOLD_CONFIGS
    return counted * mean, counted * (1.0 - mean)


def repeated_configs(labels: NDArray[np.int64]) -> int:
    """Return how many configurations have more than one row.

    Parameters
    ----------
    labels : ndarray, shape (row,)
    """
    return int(np.count_nonzero(np.bincount(labels) > 1))
