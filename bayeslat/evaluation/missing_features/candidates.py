"""Candidates for a stage's smooth correction: powers, products and knobs that it does not use."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, permutations

import numpy as np
from numpy.typing import NDArray

from bayeslat.features.expression_nodes import Apply
from bayeslat.features.expressions import Expression
from bayeslat.features.spec import Spec
from bayeslat.features.spec_fields import reachable
from bayeslat.inference.rows.plan import FitPlan
from bayeslat.inference.rows.stage_rows import StageRows

__all__ = ["Axis", "Candidate", "list_candidates", "stage_axes"]


_STILL = 1e-9  # a range below is none
_SHARE = 1.0  # up to here a knob is a share, as of a cache, whose log says nothing of its size
_FACTOR = r"\w+(\([^()]*\))?"
_PRODUCT = re.compile(rf"{_FACTOR}( \* {_FACTOR})*")


@dataclass(frozen=True)
class Axis:
    """A quantity that moves over the rows.

    Attributes
    ----------
    text : str
        An expression of the spec.
    name : str
        What it is a form of: a knob, or the feature itself.
    used : bool
        Whether it is a residual feature of the stage already.
    """

    text: str
    name: str
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
        if self.degree == 1:
            return axes[self.powers[0][0]].text
        return " * ".join(_to_power(axes[axis].text, power) for axis, power in self.powers)

    def column(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Evaluate it as `text` has it.

        Parameters
        ----------
        values : ndarray, shape (config, axis)
            Of the axes, as they are: a product of what was scaled before is another function,
            unless both axes are features already.

        Returns
        -------
        ndarray, shape (config,)
        """
        column: NDArray[np.float64] = np.prod(
            [values[:, axis] ** power for axis, power in self.powers], axis=0
        )
        return column


def stage_axes(
    plan: FitPlan, stage: str, rows: Sequence[StageRows]
) -> tuple[tuple[Axis, ...], tuple[NDArray[np.float64], ...]]:
    """Return what moves of a stage's residual features, and of the knobs that none has by itself.

    A knob stands as its log if it is a size; one that may be 0 as it is, too.

    Parameters
    ----------
    plan : FitPlan
    stage : str
    rows : sequence over group of StageRows

    Returns
    -------
    axes : tuple of Axis
    values : tuple over group of ndarray, shape (row, axis)
    """
    spec = plan.spec
    part = spec.stages[stage].residual
    features = part.features if part else ()
    alone = [each for each in features if not _is_product(each)]
    covered = reachable((name for each in alone for name in each.names), spec.quantity_names)
    axes = [Axis(each.text, each.text, used=True) for each in features]
    columns = [[group.inputs.raw[:, place] for group in rows] for place in range(len(features))]
    for knob in (name for name in spec.knobs if name not in covered):
        known = plan.frame[knob].to_numpy(dtype=float)
        for text in _forms(spec, knob, known):
            form = Expression(text).evaluate({knob: known})
            axes.append(Axis(text, knob, used=False))
            columns.append([form[group.position] for group in rows])
    moved = [at for at, each in enumerate(columns) if np.ptp(np.concatenate(each)) > _STILL]
    values = tuple(
        np.stack([columns[at][number] for at in moved], axis=1)
        if moved
        else np.empty((len(group), 0))
        for number, group in enumerate(rows)
    )
    return tuple(axes[at] for at in moved), values


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
    pairs = [(i, j) for i, j in combinations(range(len(axes)), 2) if axes[i].name != axes[j].name]
    known = set(combinations(used, 2)) if degree >= 2 else set()
    found += [Candidate("product", ((i, 1), (j, 1))) for i, j in pairs if (i, j) not in known]
    if degree >= 2:
        found += [Candidate("product", ((i, 2), (j, 1))) for i, j in permutations(used, 2)]
    texts = {axes[place].text for place in used}
    return tuple(each for each in found if each.text(axes) not in texts)


def _is_product(expression: Expression) -> bool:
    """Whether it is a product of what moves, which says nothing of either by itself."""
    tree = expression.tree
    return isinstance(tree, Apply) and tree.operation == "*"


def _forms(spec: Spec, knob: str, values: NDArray[np.float64]) -> tuple[str, ...]:
    """Write a knob as it may stand in the spec: a size as its log, what may be 0 in two ways.

    The log of what is 0 by default, if in no row, could not be predicted there.
    """
    if values.min() < 0 or values.max() <= _SHARE:
        return (knob,)
    if values.min() > 0 and not _may_be_zero(spec, knob):
        return (f"log({knob})",)
    return (knob, f"log(1 + {knob})")


def _may_be_zero(spec: Spec, knob: str) -> bool:
    """Whether the default of a knob is 0, or follows from knobs of which one may be."""
    default = spec.defaults.get(knob, 1.0)
    if isinstance(default, Expression):
        return any(_may_be_zero(spec, name) for name in default.names)
    return default <= 0


def _to_power(text: str, power: int) -> str:
    """Write a factor of a product, in brackets where it needs them."""
    if power == 1:
        return text if _PRODUCT.fullmatch(text) else f"({text})"
    return f"{text if re.fullmatch(_FACTOR, text) else f'({text})'} ** {power}"
