"""Terms whose linear view would let them run where the physics itself cannot follow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from bayeslat.inference.rows.plan import FitPlan
from bayeslat.inference.rows.regression import StageRegression

__all__ = ["find_astray", "minor_terms"]

_MOST_SHARE = 1 / 3  # of a group's time: what takes more is what the stage is about
_NOISES = 2.0  # by so many noise sds a view may be off; where fits are sound, by 1.3 at most
_LEAST, _MOST = 0.02, 0.07  # log latency; but by the first in any case, and by no more than this


def find_astray(
    plan: FitPlan,
    regression: StageRegression,
    moves: NDArray[np.float64],
    noise_sd: float,
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
    noise_sd : float
        Of the stage, in log latency.
    untold : sequence of int
        Terms that were found before.

    Returns
    -------
    int or None
        Position of the term; None where all views hold.
    """
    off = np.zeros(moves.shape[1])
    minor = set(minor_terms(plan, regression)) - set(untold)
    for gpu, shares in _shares(plan, regression):
        move = moves[plan.gpus.index(gpu)]
        error = shares * move - np.log1p(shares * np.expm1(move))
        off = np.maximum(off, np.sqrt(np.mean(error**2, axis=0)))
    off[[place for place in range(len(off)) if place not in minor]] = 0.0
    worst = int(off.argmax())
    return worst if off[worst] > np.clip(_NOISES * noise_sd, _LEAST, _MOST) else None


def minor_terms(plan: FitPlan, regression: StageRegression) -> tuple[int, ...]:
    """Find the terms that take little of the time of every group.

    Parameters
    ----------
    plan : FitPlan
    regression : StageRegression

    Returns
    -------
    tuple of int
        Their positions.
    """
    shares = [shares.mean(axis=0) for _, shares in _shares(plan, regression)]
    found = np.flatnonzero(np.max(shares, axis=0) <= _MOST_SHARE)
    return tuple(map(int, found))


def _shares(
    plan: FitPlan, regression: StageRegression
) -> Iterator[tuple[str, NDArray[np.float64]]]:
    """Each group's GPU, and the terms' shares of its rows' time. Shape (row, term)."""
    terms = regression.anchor.departure.shape[1]
    groups = zip(plan.groups, regression.designs, regression.noise.spread, strict=True)
    for (gpu, _), design, spread in groups:
        if len(design):
            yield gpu, design[:, :terms] * spread[:, None]
