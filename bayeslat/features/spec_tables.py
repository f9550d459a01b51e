"""The content of a specification as plain tables, for storing and for comparing."""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Any

from bayeslat.features.expressions import Expression
from bayeslat.features.spec_fields import SpecFields
from bayeslat.features.stage import Stage

__all__ = ["meaning", "tables"]

type Spelling = Callable[[Expression], str]


def tables(spec: SpecFields, spell: Spelling = attrgetter("text")) -> dict[str, Any]:
    """Return the content in the shape of the TOML file, with nothing left to defaults.

    Parameters
    ----------
    spec : SpecFields
        A specification.
    spell : callable
        Gives the text of an expression.
    """
    content = {
        "name": spec.name,
        "description": spec.description,
        "knobs": list(spec.knobs),
        "architecture": dict(spec.architecture),
        "quantities": {name: spell(value) for name, value in spec.quantities.items()},
        "stages": {name: _stage_table(stage, spell) for name, stage in spec.stages.items()},
        "priors": {str(kind): prior.model_dump() for kind, prior in spec.priors.items()},
    }
    if spec.defaults:
        content["defaults"] = {
            name: spell(value) if isinstance(value, Expression) else value
            for name, value in spec.defaults.items()
        }
    if spec.stack_columns:
        content["stack_columns"] = list(spec.stack_columns)
    return content


def _stage_table(stage: Stage, spell: Spelling) -> dict[str, Any]:
    table: dict[str, Any] = {
        "column": stage.column,
        "times": spell(stage.times),
        "physics": {
            name: {"ms": spell(term.expression), "kind": str(term.kind)}
            for name, term in stage.physics.items()
        },
    }
    if stage.residual is not None:
        table["residual"] = {
            "features": [spell(feature) for feature in stage.residual.features],
            "degree": stage.residual.degree,
        }
    if stage.hurdle is not None:
        table["hurdle"] = {
            "above_ms": stage.hurdle.above_ms,
            "features": [spell(feature) for feature in stage.hurdle.features],
        }
    return table


def meaning(spec: SpecFields) -> dict[str, Any]:
    """Return the content without what does not change the model; `Spec.hash` covers it."""
    used = {name for expression in spec.expressions() for name in expression.names}
    kinds = {str(term.kind) for stage in spec.stages.values() for term in stage.physics.values()}
    content = tables(spec, attrgetter("canonical"))
    del content["description"]
    # A list, since the order of quantities counts and that of other keys does not.
    content["quantities"] = list(content["quantities"].items())
    content["architecture"] = {
        name: value for name, value in spec.architecture.items() if name in used
    }
    content["priors"] = {kind: content["priors"][kind] for kind in kinds}
    return content
