"""Candidates for a stage's smooth correction: powers, products and knobs that it does not use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, permutations

import numpy as np
from numpy.typing import NDArray

from bayeslat.features.spec_fields import reachable
from bayeslat.inference.rows.plan import FitPlan
from bayeslat.inference.rows.stage_rows import StageRows

__all__ = ["Axis", "Candidate", "list_candidates", "stage_axes"]


_STILL = 1e-9  # a range below is none


@dataclass(frozen=True)
class Axis:
    """A quantity that moves over the rows, and its training range.

    Attributes
    ----------
    text : str
        An expression of the spec.
    low, high : float
    used : bool
        Whether it is a residual feature of the stage already.
    """

    text: str
    low: float
    high: float
    used: bool


@dataclass(frozen=True)
class Candidate:
    """A monomial of axes that the stage's residual lacks.

    Attributes
    ----------
    kind : {"knob", "power", "product"}
    powers : tuple of (axis, power)
    """

    kind: str
    powers: tuple[tuple[int, int], ...]

    @property
    def degree(self) -> int:
        """Sum of the powers."""
        return sum(power for _, power in self.powers)

    def text(self, axes: Sequence[Axis]) -> str:
        """Write it as an expression of a spec."""
        parts = [
            axes[axis].text if power == 1 else f"{axes[axis].text} ** {power}"
            for axis, power in self.powers
        ]
        return " * ".join(parts)

    def column(self, scaled: NDArray[np.float64]) -> NDArray[np.float64]:
        """Evaluate it on scaled axes, shape (config, axis). Shape (config,)."""
        column: NDArray[np.float64] = np.prod(
            [scaled[:, axis] ** power for axis, power in self.powers], axis=0
        )
        return column


def stage_axes(
    plan: FitPlan, stage: str, rows: Sequence[StageRows]
) -> tuple[tuple[Axis, ...], tuple[NDArray[np.float64], ...]]:
    """Return a stage's residual features, then each knob that none of them uses, if it moves.

    Parameters
    ----------
    plan : FitPlan
    stage : str
    rows : sequence over group of StageRows

    Returns
    -------
    axes : tuple of Axis
    values : tuple over group of ndarray, shape (row, axis)
        On [-1, 1].
    """
    spec = plan.spec
    part = spec.stages[stage].residual
    features = part.features if part else ()
    covered = reachable((name for each in features for name in each.names), spec.quantity_names)
    knobs = [knob for knob in spec.knobs if knob not in covered]
    logs = {knob: bool((plan.frame[knob].to_numpy(dtype=float) > 0).all()) for knob in knobs}
    tables = []
    for group in rows:
        own = plan.frame.iloc[group.position]
        columns = [group.inputs.raw[:, place] for place in range(len(features))]
        for knob in knobs:
            value = own[knob].to_numpy(dtype=float)
            columns.append(np.log(value) if logs[knob] else value)
        tables.append(np.stack(columns, axis=1) if columns else np.empty((len(own), 0)))
    texts = [each.text for each in features] + [f"log({k})" if logs[k] else k for k in knobs]
    low = np.min([table.min(axis=0) for table in tables if len(table)], axis=0)
    high = np.max([table.max(axis=0) for table in tables if len(table)], axis=0)
    moved = np.flatnonzero(high - low > _STILL)
    axes = tuple(
        Axis(texts[at], float(low[at]), float(high[at]), bool(at < len(features))) for at in moved
    )
    scaled = tuple(
        (2.0 * table[:, moved] - low[moved] - high[moved]) / (high[moved] - low[moved])
        for table in tables
    )
    return axes, scaled


def list_candidates(axes: Sequence[Axis], degree: int) -> tuple[Candidate, ...]:
    """Name what a polynomial of the used axes lacks.

    Parameters
    ----------
    axes : sequence of Axis
    degree : int
        Of the stage's residual; 0 without one.

    Returns
    -------
    tuple of Candidate
        Slopes of unused knobs and their products with others; the next power of used features;
        products of two where the degree has none, of a square and another where it has.
    """
    used = [place for place, axis in enumerate(axes) if axis.used]
    fresh = [place for place, axis in enumerate(axes) if not axis.used]
    found = [Candidate("knob", ((place, 1),)) for place in fresh]
    found += [Candidate("power", ((place, degree + 1),)) for place in used]
    pairs = [tuple(sorted(pair)) for pair in combinations(range(len(axes)), 2)]
    known = set(combinations(used, 2)) if degree >= 2 else set()
    found += [Candidate("product", ((i, 1), (j, 1))) for i, j in pairs if (i, j) not in known]
    if degree >= 2:
        found += [Candidate("product", ((i, 2), (j, 1))) for i, j in permutations(used, 2)]
    return tuple(found)
