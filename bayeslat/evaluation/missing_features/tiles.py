"""Candidates for sizes that kernels round up: whole tiles of a matrix product, in place of rows."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bayeslat.features.expression_nodes import Apply, Name, Node
from bayeslat.features.expressions import Expression
from bayeslat.features.spec import Spec
from bayeslat.features.spec_fields import reachable
from bayeslat.features.terms import TermKind
from bayeslat.inference.rows.plan import FitPlan

__all__ = ["SIZES", "Tile", "list_tiles"]

SIZES = (16, 32, 64, 128, 256)
"""Of the tiles that are tried: rows that a block of a GPU's kernels takes at once."""
_STILL = 1e-9  # a difference below is none
_FEWEST = 8  # values of a size: fewer are those of layers, heads and the like
_ALIKE = 0.9  # part of the rows with one value, above which a size hardly moves
_LEAST, _OFTEN = 0.01, 0.1  # part that rounding adds to a size, in that part of the rows
_QUOTED = re.compile(r"(\"[^\"]*\"|'[^']*')")


@dataclass(frozen=True)
class Tile:
    """A size in the formula of a term, rounded up to whole tiles.

    Attributes
    ----------
    term : str
    name : str
        A knob or quantity in the term's expression, or in a quantity that leads there.
    size : int
    """

    term: str
    name: str
    size: int

    @property
    def text(self) -> str:
        """Write it as an expression of a spec."""
        return f"ceil({self.name} / {self.size}) * {self.size}"

    def formula(self, spec: Spec, stage: str) -> str:
        """Write the term with the size rounded up, and out the quantities that lead to the size.

        Parameters
        ----------
        spec : Spec
        stage : str
        """
        text = spec.stages[stage].physics[self.term].expression.text
        # The last first: a quantity names those before it.
        for name, quantity in reversed(list(spec.quantities.items())):
            if self.name in spec.dependencies(quantity):
                text = _replaced(text, name, quantity.text)
        return _replaced(text, self.name, self.text)

    def applied(self, spec: Spec, stage: str) -> Spec:
        """Return the spec with this formula of the term; other terms are as they were.

        Parameters
        ----------
        spec : Spec
        stage : str

        Raises
        ------
        ExpressionError
            If the formula is longer than one may be.
        """
        part = spec.stages[stage]
        expression = Expression(self.formula(spec, stage))
        tiled = part.physics[self.term].model_copy(update={"expression": expression})
        part = part.model_copy(update={"physics": {**part.physics, self.term: tiled}})
        fields = {key: getattr(spec, key) for key in Spec.model_fields}
        return Spec(**fields | {"stages": {**spec.stages, stage: part}})


def list_tiles(plan: FitPlan, stage: str, rows: NDArray[np.int64]) -> tuple[Tile, ...]:
    """Name the sizes that the arithmetic of a stage may round up.

    Parameters
    ----------
    plan : FitPlan
    stage : str
    rows : ndarray of int, shape (row,)
        Of the plan's table, that hold the stage.

    Returns
    -------
    tuple of Tile
        Of terms that count operations, and of the first sizes on the way from such a term through
        its quantities, as far as none is rounded up there yet.
    """
    spec, frame = plan.spec, plan.frame.iloc[rows]
    columns = {name: frame[name].to_numpy() for name in spec.config_columns(frame)}
    terms = [each for each in spec.stages[stage].physics.values() if each.kind is TermKind.flops]
    used = frozenset[str]().union(*(spec.dependencies(term.expression) for term in terms))
    sizes = {name: _sizes(spec, name, columns) for name in used & {*spec.knobs, *spec.quantities}}
    return tuple(
        Tile(term.name, name, size)
        for term in terms
        for name in sorted(_first_sizes(spec, term.expression, sizes))
        for size in sizes[name]
    )


def _first_sizes(
    spec: Spec, expression: Expression, sizes: Mapping[str, tuple[int, ...]]
) -> set[str]:
    """Name the sizes that an expression leads to, without those behind others or rounded up."""
    links = spec.quantity_names
    way = reachable(expression.names, links)
    formulas = [expression, *(part for name, part in spec.quantities.items() if name in way)]
    rounded = {name for each in formulas for name in _rounded_names(each.tree)}
    done = reachable(rounded, links)
    free = {name for name in sizes if sizes[name] and not reachable([name], links) & done}
    onwards = {name: names for name, names in links.items() if name not in free}
    return free & reachable(expression.numeric_names, onwards)


def _rounded_names(node: Node, inside: bool = False) -> Iterator[str]:
    """Yield the names that stand in a `ceil`."""
    if isinstance(node, Name) and inside:
        yield node.name
    if isinstance(node, Apply):
        for argument in node.arguments:
            yield from _rounded_names(argument, inside or node.operation == "ceil")


def _sizes(spec: Spec, name: str, columns: Mapping[str, NDArray[np.generic]]) -> tuple[int, ...]:
    """Tiles that a knob or quantity may be rounded up to; none where it is no size.

    A size moves, is a whole number, and is more than a tile somewhere; and rounding it up adds
    something, which it does not to a product such as that of all operations.
    """
    needed = spec.dependencies(Expression(name))
    if not needed <= {*columns, *spec.architecture, *spec.quantities}:
        return ()  # of the data sheet
    values = spec.evaluate(name, columns, {})
    told, counts = np.unique(values, return_counts=True)
    moves = len(told) >= _FEWEST and counts.max() <= _ALIKE * values.size
    if not moves or not np.isfinite(told).all() or np.any(np.abs(told - np.round(told)) > _STILL):
        return ()
    return tuple(
        size
        for size in SIZES
        if told.max() > size and np.mean(-values % size > _LEAST * values) >= _OFTEN
    )


def _replaced(text: str, name: str, by: str) -> str:
    """Write an expression, in brackets, for a name."""
    # A category is compared with a quoted text, which may read like a name.
    parts = _QUOTED.split(text)
    parts[::2] = [
        re.sub(rf"(?<![\w.]){re.escape(name)}(?!\w)", lambda _: f"({by})", each)
        for each in parts[::2]
    ]
    return "".join(parts)
