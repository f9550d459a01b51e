"""Knobs that stand still in the rows of a group: the sizes of its model, limits of its server."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bayeslat.inference.rows.plan import FitPlan

__all__ = ["constant_knobs", "constants_where"]

_FEW = 8  # values of a knob: more are no settings


def constant_knobs(plan: FitPlan) -> list[dict[str, float]]:
    """Return knobs that never move within a group, as the sizes of its model; a mapping a group."""
    found = []
    for members in plan.members:
        rows = plan.frame.iloc[members][list(plan.spec.knobs)]
        kept = rows.columns[rows.nunique() == 1]
        found.append({str(knob): float(rows[knob].iloc[0]) for knob in kept})
    return found


def constants_where(plan: FitPlan) -> list[list[dict[str, Any]]]:
    """Return knobs that stand still in those rows of a group in which another has one value.

    As the limits of the servers on two GPUs, where others ran on one.

    Parameters
    ----------
    plan : FitPlan

    Returns
    -------
    list over group of list of dict
        With `knob` and `value`, of each knob that takes a few values in the group, and `constants`:
        a mapping of what moves in the group and stands still there.
    """
    return [_few_valued(plan, members) for members in plan.members]


def _few_valued(plan: FitPlan, members: NDArray[np.int64]) -> list[dict[str, Any]]:
    rows = plan.frame.iloc[members][list(plan.spec.knobs)]
    counts = rows.nunique()
    moving = rows[counts.index[counts > 1]]
    found: list[dict[str, Any]] = []
    for knob in counts.index[(counts > 1) & (counts <= _FEW)]:
        parts = moving.groupby(knob)
        low, high = parts.min(), parts.max()
        for value in low.index:
            still = low.columns[low.loc[value] == high.loc[value]]
            constants = {str(name): float(low.loc[value, name]) for name in still}
            found.append({"knob": str(knob), "value": float(value), "constants": constants})
    return found
