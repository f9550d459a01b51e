"""Configurations drawn from ranges of knobs."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import qmc

from bayeslat.errors import InputError
from bayeslat.features.knob_range import KnobRange

__all__ = ["sample_configs"]

_MOST_DRAWN = 2**20  # points tried for distinct configurations, if n is smaller


def sample_configs(ranges: Sequence[KnobRange], n: int, seed: int) -> pd.DataFrame:
    """Draw configurations that fill the ranges evenly: a scrambled Sobol sequence.

    Parameters
    ----------
    ranges : sequence of KnobRange
        One a knob.
    n : int
        Number of configurations.
    seed : int

    Returns
    -------
    DataFrame, one row a config
        Distinct rows as far as the ranges have as many.

    Raises
    ------
    InputError
        If n is not positive, the seed is negative, or a knob has two ranges.
    """
    names = [each.name for each in ranges]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(f"knob {', '.join(twice)}: has two ranges; give one")
    if not ranges:
        raise InputError("there is no range of a knob; give at least one")
    if n < 1:
        raise InputError(f"n is {n}; it must be at least 1")
    if seed < 0:
        raise InputError(f"seed is {seed}; it must be at least 0")
    possible = min(n, math.prod(each.count for each in ranges))
    sobol = qmc.Sobol(len(ranges), rng=np.random.default_rng(seed))
    # Whole powers of two keep the sequence balanced; as many again are its next such part.
    doubling = math.ceil(math.log2(n))
    drawn = _configs_at(ranges, sobol.random_base2(doubling))
    while (~drawn.duplicated()).sum() < possible and len(drawn) < max(_MOST_DRAWN, 2 * n):
        more = _configs_at(ranges, sobol.random_base2(doubling))
        drawn = pd.concat([drawn, more], ignore_index=True)
        doubling += 1
    ordered = pd.concat([drawn[~drawn.duplicated()], drawn[drawn.duplicated()]])
    return ordered.head(n).reset_index(drop=True)


def _configs_at(ranges: Sequence[KnobRange], places: NDArray[np.float64]) -> pd.DataFrame:
    """Return the configurations at places in the unit cube, shape (config, knob)."""
    columns = zip(ranges, places.T, strict=True)
    return pd.DataFrame({each.name: each.at(column) for each, column in columns})
