"""Candidates for sizes that kernels round up: whole tiles of a matrix product, in place of rows."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bayeslat.features.expressions import Expression
from bayeslat.features.spec import Spec
from bayeslat.features.terms import TermKind
from bayeslat.inference.rows.plan import FitPlan

__all__ = ["SIZES", "Tile", "list_tiles"]

SIZES = (16, 32, 64, 128, 256)
"""Of the tiles that are tried: rows that a block of a GPU's kernels takes at once."""
_STILL = 1e-9  # a difference below is none
_QUOTED = re.compile(r"(\"[^\"]*\"|'[^']*')")


@dataclass(frozen=True)
class Tile:
    """A size in the formula of a term, rounded up to whole tiles.

    Attributes
    ----------
    term : str
    name : str
        A knob or quantity in the term's expression.
    size : int
    """

    term: str
    name: str
    size: int

    @property
    def text(self) -> str:
        """Write it as an expression of a spec."""
        return f"ceil({self.name} / {self.size}) * {self.size}"

    def applied(self, spec: Spec, stage: str) -> Spec:
        """Return the spec with the expression in place of the name, in this term alone.

        Parameters
        ----------
        spec : Spec
        stage : str
        """
        part = spec.stages[stage]
        term = part.physics[self.term]
        name = re.compile(rf"(?<![\w.]){re.escape(self.name)}(?!\w)")
        # A category is compared with a quoted text, which may read like a name.
        parts = _QUOTED.split(term.expression.text)
        parts[::2] = [name.sub(f"({self.text})", each) for each in parts[::2]]
        tiled = term.model_copy(update={"expression": Expression("".join(parts))})
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
        Of terms that count operations and round nothing up yet, and of the whole numbers that such
        a term names itself: some are no multiple of the tile, and some are more than one.
    """
    spec, frame = plan.spec, plan.frame.iloc[rows]
    columns = {name: frame[name].to_numpy() for name in spec.config_columns(frame)}
    found = []
    for term in spec.stages[stage].physics.values():
        if term.kind is not TermKind.flops or "ceil" in term.expression.text:
            continue
        for name in sorted(term.expression.numeric_names & {*spec.knobs, *spec.quantities}):
            values = _whole(spec, name, columns)
            found += [
                Tile(term.name, name, size)
                for size in SIZES
                if values.size and values.max() > size and np.any(values % size > _STILL)
            ]
    return tuple(found)


def _whole(spec: Spec, name: str, columns: dict[str, NDArray[np.generic]]) -> NDArray[np.float64]:
    """Values of a knob or quantity, if they move and are whole numbers; else none."""
    needed = spec.dependencies(Expression(name))
    if not needed <= {*columns, *spec.architecture, *spec.quantities}:
        return np.empty(0)  # of the data sheet
    values = np.unique(spec.evaluate(name, columns, {}))
    whole = bool(np.all(np.abs(values - np.round(values)) < _STILL))
    return values if whole and len(values) > 1 else np.empty(0)
