"""Terms whose linear view would let them run where the physics itself cannot follow."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bayeslat.inference.plan import FitPlan
from bayeslat.inference.regression import StageRegression

__all__ = ["find_astray"]

_MOST_SHARE = 1 / 3  # of a group's time: what takes more is what the stage is about
_ASTRAY = 0.07  # log latency; where fits are sound, views are off by 0.04 at most


def find_astray(
    plan: FitPlan,
    regression: StageRegression,
    moves: NDArray[np.float64],
    untold: Sequence[int] = (),
) -> int | None:
    """Find the term that takes little of the time and whose linear view is the farthest off.

    From where it was linearised, a term of share s whose log efficiency moves by u changes the log
    latency by log(1 + s (exp(u) - 1)); the linear view says s u. A term that takes three percent of
    the time can be taken for none at all, and the latency falls by three percent. By the linear
    view it falls by a quarter, where u is -8: rows that physics misses otherwise then ask for that.

    Parameters
    ----------
    plan : FitPlan
    regression : StageRegression
    moves : ndarray, shape (gpu, term)
        How far the hierarchy would have each GPU's efficiencies from where they were linearised.
    untold : sequence of int
        Terms that were found before.

    Returns
    -------
    int or None
        Position of the term; None where all views hold.
    """
    terms = moves.shape[1]
    off, share = np.zeros(terms), np.zeros(terms)
    groups = zip(plan.groups, regression.designs, regression.noise.spread, strict=True)
    for (gpu, _), design, spread in groups:
        if not len(design):
            continue
        shares = design[:, :terms] * spread[:, None]
        move = moves[plan.gpus.index(gpu)]
        error = shares * move - np.log1p(shares * np.expm1(move))
        off = np.maximum(off, np.sqrt(np.mean(error**2, axis=0)))
        share = np.maximum(share, shares.mean(axis=0))
    off[share > _MOST_SHARE] = 0.0
    off[list(untold)] = 0.0
    worst = int(off.argmax())
    return worst if off[worst] > _ASTRAY else None
