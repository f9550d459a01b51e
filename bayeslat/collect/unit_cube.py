"""Points that fill the unit cube evenly."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from bayeslat.collect.backend import load_torch

__all__ = ["hypercube_points", "sobol_points"]

_CHUNK = 256


def sobol_points(dims: int, seed: int) -> Iterator[NDArray[np.float64]]:
    """Yield the points of one scrambled Sobol sequence, without end.

    SciPy has the same sequence, but may be absent where models are measured; torch is not.

    Parameters
    ----------
    dims : int
        Dimensions of the cube, 1 or more.
    seed : int
        Seed of the scrambling.

    Yields
    ------
    ndarray of float, shape (point, dim)
        Each in [0, 1).

    Raises
    ------
    InputError
        If torch is not installed.
    """
    torch = load_torch()
    engine = torch.quasirandom.SobolEngine(dims, scramble=True, seed=seed)
    while True:
        yield engine.draw(_CHUNK, dtype=torch.float64).numpy()


def hypercube_points(dims: int, n: int, seed: int) -> Iterator[NDArray[np.float64]]:
    """Yield Latin hypercubes, without end: each of n equal parts of each side holds a point.

    Parameters
    ----------
    dims : int
        Dimensions of the cube.
    n : int
        Points of a hypercube, 1 or more.
    seed : int

    Yields
    ------
    ndarray of float, shape (point, dim)
        Each in [0, 1).
    """
    rng = np.random.default_rng(seed)
    parts = np.tile(np.arange(n), (dims, 1))
    while True:
        places = rng.permuted(parts, axis=1).T + rng.random((n, dims))
        # The division may round up to 1.
        yield np.minimum(places / n, np.nextafter(1.0, 0.0))
