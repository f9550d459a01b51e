"""The content of a specification, and what its expressions depend on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import Annotated

from pydantic import BaseModel, ConfigDict

from bayeslat.features.expressions import Expression
from bayeslat.features.frozen_map import FREEZE, THAW, FrozenMap
from bayeslat.features.stage import ExpressionField, Stage
from bayeslat.features.terms import DEFAULT_PRIORS, KindPrior, TermKind

__all__ = ["SpecFields", "reachable"]


class SpecFields(BaseModel):
    """What a specification says, before its rules are checked.

    Attributes
    ----------
    name : str
        Name of the model family, for instance ``"vlm"``.
    description : str
        One or two sentences for readers.
    knobs : tuple of str
        Columns of the trace that set a configuration.
    defaults : Mapping of str to float or Expression
        What a knob is where a row says nothing of it; an expression may name other knobs, of those
        with defaults the ones before it.
    stack_columns : tuple of str
        Columns, such as the model, whose values make a stack of their own with the software's.
    architecture : Mapping of str to float
        Constants of the model, usable by name.
    quantities : Mapping of str to Expression
        Named intermediate results; each may name those before it.
    stages : Mapping of str to Stage
        By name, in the order of the file.
    priors : Mapping of TermKind to KindPrior
        One for every kind of term.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    description: str = ""
    knobs: tuple[str, ...]
    defaults: Annotated[Mapping[str, float | ExpressionField], FREEZE, THAW] = FrozenMap({})
    stack_columns: tuple[str, ...] = ()
    architecture: Annotated[Mapping[str, float], FREEZE, THAW] = FrozenMap({})
    quantities: Annotated[Mapping[str, ExpressionField], FREEZE, THAW] = FrozenMap({})
    stages: Annotated[Mapping[str, Stage], FREEZE, THAW]
    priors: Annotated[Mapping[TermKind, KindPrior], FREEZE, THAW] = FrozenMap(DEFAULT_PRIORS)

    @cached_property
    def quantity_names(self) -> Mapping[str, frozenset[str]]:
        """Names in each quantity's own expression."""
        return FrozenMap({key: value.names for key, value in self.quantities.items()})

    @property
    def latency_columns(self) -> list[str]:
        """The column of each stage's latency, in their order."""
        return [stage.column for stage in self.stages.values()]

    def dependencies(self, expression: Expression) -> frozenset[str]:
        """Return every name that an expression depends on, directly or through quantities.

        Parameters
        ----------
        expression : Expression
            One over the names of the specification.

        Returns
        -------
        frozenset of str
            Knobs, constants, hardware fields, `task`, and the quantities passed on the way.
        """
        return reachable(expression.names, self.quantity_names)

    def expressions(self) -> Iterator[Expression]:
        """Yield every expression: defaults, quantities, then stage by stage."""
        yield from (each for each in self.defaults.values() if isinstance(each, Expression))
        yield from self.quantities.values()
        yield from self.stage_expressions()

    def stage_expressions(self) -> Iterator[Expression]:
        """Yield every expression of the stages."""
        for stage in self.stages.values():
            yield stage.times
            yield from (term.expression for term in stage.physics.values())
            yield from stage.residual.features if stage.residual else ()
            yield from stage.hurdle.features if stage.hurdle else ()


def reachable(names: Iterable[str], links: Mapping[str, frozenset[str]]) -> frozenset[str]:
    """Return `names` and all that they lead to.

    Parameters
    ----------
    names : iterable of str
        Where to start.
    links : Mapping of str to frozenset of str
        What each name leads to; circles are allowed.
    """
    seen: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting.extend(links.get(name, ()))
    return frozenset(seen)
