"""Sufficient statistics: what a group's rows say, in a size free of their number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

__all__ = ["Statistics", "stack_statistics", "summarise"]


@dataclass(frozen=True, eq=False)
class Statistics:
    """Cross products of design and response, one slice a group; they replace the rows exactly.

    Attributes
    ----------
    gram : ndarray, shape (group, feature, feature)
        A = Z'Z.
    moment : ndarray, shape (group, feature)
        b = Z'y.
    square : ndarray, shape (group,)
        c = y'y.
    rows : ndarray, shape (group,)
        Number of rows; less where rows count for less than one.
    """

    gram: NDArray[np.float64]
    moment: NDArray[np.float64]
    square: NDArray[np.float64]
    rows: NDArray[np.float64]

    def __add__(self, other: Statistics) -> Statistics:
        """Return the statistics of both sets of rows of the same groups."""
        return Statistics(
            self.gram + other.gram,
            self.moment + other.moment,
            self.square + other.square,
            self.rows + other.rows,
        )

    def counted(self, most: float) -> Statistics:
        """Let the rows of a group count for at most so many.

        A power posterior: what the model misses does not average out over its rows, so they are
        given the weight `most / rows` where there are more (Miller and Dunson 2019, Robust Bayesian
        Inference via Coarsening, section 2.2, which has 1 / (1 + rows / most)).

        Parameters
        ----------
        most : float

        Returns
        -------
        Statistics
            The same ones where no group has more.
        """
        if np.all(self.rows <= most):
            return self
        share = np.minimum(1.0, most / np.maximum(self.rows, 1.0))
        return Statistics(
            self.gram * share[:, None, None],
            self.moment * share[:, None],
            self.square * share,
            self.rows * share,
        )

    def rounded(self, error: float) -> Statistics:
        """Let each row be off by a rounding error, in the direction that no effect explains.

        The likelihood of rows without any noise has no bound as the noise goes to zero; with this
        it has one (Sheppard's correction: of each square, the variance of the rounding).

        Parameters
        ----------
        error : float
            Its sd, in log latency.

        Returns
        -------
        Statistics
        """
        return replace(self, square=self.square + self.rows * error**2)


def summarise(
    design: NDArray[np.float64],
    response: NDArray[np.float64],
    weights: NDArray[np.float64] | None = None,
) -> Statistics:
    """Reduce one group's rows to its statistics.

    Parameters
    ----------
    design : ndarray, shape (config, feature)
    response : ndarray, shape (config,)
        Log latency less the physics at the linearisation point.
    weights : ndarray, shape (config,), optional
        How many rows a row counts for; 1 by default.

    Returns
    -------
    Statistics
        With a single group.
    """
    counted = np.ones(len(response)) if weights is None else weights
    weighted = design.T * counted
    return Statistics(
        gram=(weighted @ design)[None],
        moment=(weighted @ response)[None],
        square=np.array([(counted * response) @ response]),
        rows=np.array([float(counted.sum())]),
    )


def stack_statistics(parts: Sequence[Statistics]) -> Statistics:
    """Place the groups of several statistics side by side, in the order given."""
    return Statistics(
        gram=np.concatenate([part.gram for part in parts]),
        moment=np.concatenate([part.moment for part in parts]),
        square=np.concatenate([part.square for part in parts]),
        rows=np.concatenate([part.rows for part in parts]),
    )
