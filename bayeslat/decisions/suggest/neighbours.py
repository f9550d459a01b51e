"""Measurements of a stage, and what those close by share beyond the model.

What no effect explains is not all noise: kernels cut their work into tiles and change their
algorithm at some size, so configurations close by depart from smooth physics together. So the part
of the noise's variance that is the configuration's own is taken to be a Gaussian process.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bayeslat.inference.rows.nearness import nearness_between

__all__ = ["Measurements", "shared_covariance"]

_REACH = 0.125  # half widths of the training range: the middle of what `nearness` looks among


@dataclass(frozen=True)
class Measurements:
    """Measurements of one stage that were made, or could be.

    Attributes
    ----------
    design : ndarray, shape (row, feature)
    blur_sd : ndarray, shape (row,)
        Of log latency round `design @ effects`.
    noise_sd : ndarray, shape (row,)
        Its part that is there within the training range, too, which neighbours share in part.
    places : ndarray, shape (row, coordinate)
        In half widths of the training range. Without coordinates, nothing is close to anything.
    weights : ndarray, shape (row,)
        How many rows a row counts for: less than one where it has repeats.
    """

    design: NDArray[np.float64]
    blur_sd: NDArray[np.float64]
    noise_sd: NDArray[np.float64]
    places: NDArray[np.float64]
    weights: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.design)

    def take(self, rows: NDArray[np.int64] | slice) -> Measurements:
        """Return some of them.

        Parameters
        ----------
        rows : ndarray of int, shape (row,), or slice
        """
        return Measurements(
            self.design[rows],
            self.blur_sd[rows],
            self.noise_sd[rows],
            self.places[rows],
            self.weights[rows],
        )


def shared_covariance(
    some: Measurements, others: Measurements, shared: float
) -> NDArray[np.float64]:
    """Covariance of what measurements share beyond the model.

    Parameters
    ----------
    some, others : Measurements
    shared : float
        What part of the variance of noise is a configuration's own.

    Returns
    -------
    ndarray, shape (some, other)
    """
    if not (shared and some.places.shape[1]):
        return np.zeros((len(some), len(others)))
    near = shared * nearness_between(some.places, others.places, _REACH)
    return near * np.outer(some.noise_sd, others.noise_sd)
