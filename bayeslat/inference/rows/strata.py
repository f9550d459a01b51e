"""Random values with one from each of equally likely strata: the same laws, with less noise."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

__all__ = ["stratified_normal", "stratified_uniform"]


def stratified_uniform(shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw a Latin hypercube (McKay, Beckman and Conover 1979).

    Each variable takes the middle of every one of as many equally likely strata as there are
    draws, in an order of its own: what it does alone hardly depends on the seed.

    Parameters
    ----------
    shape : tuple of int
        (draw, ...): the further axes are those of the variables.
    rng : Generator

    Returns
    -------
    ndarray, shape (draw, ...)
        Between 0 and 1, neither of which occurs.
    """
    ranks = np.arange(shape[0]).reshape(-1, *[1] * (len(shape) - 1))
    order = rng.permuted(np.broadcast_to(ranks, shape), axis=0)
    places: NDArray[np.float64] = (order + 0.5) / shape[0]
    return places


def stratified_normal(shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw standard normals by the strata of `stratified_uniform`; shapes as there."""
    normals: NDArray[np.float64] = ndtri(stratified_uniform(shape, rng))
    return normals
