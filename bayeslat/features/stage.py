"""A stage of the pipeline as a specification describes it: physics terms and a residual."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, GetPydanticSchema
from pydantic_core import core_schema

from bayeslat.features.expressions import Expression
from bayeslat.features.frozen_map import FREEZE, THAW
from bayeslat.features.terms import TermKind

__all__ = ["ExpressionField", "Hurdle", "Residual", "Stage", "Term"]

_FROZEN = ConfigDict(frozen=True, extra="forbid")


def _as_expression(value: str | Expression) -> Expression:
    return value if isinstance(value, Expression) else Expression(value)


def _as_text(value: Expression) -> str:
    return value.text


ExpressionField = Annotated[
    Expression,
    GetPydanticSchema(
        lambda _source, _handler: core_schema.no_info_plain_validator_function(
            _as_expression,
            serialization=core_schema.plain_serializer_function_ser_schema(_as_text),
        )
    ),
]
"""A field of a pydantic model that holds an expression, given as one or as text."""


class Term(BaseModel):
    """One additive physics term of a stage.

    Attributes
    ----------
    name : str
        Its name within the stage.
    expression : Expression
        Its time in ms at the data-sheet peaks, >= 0.
    kind : TermKind
        What it counts, which decides its prior.
    """

    model_config = _FROZEN

    name: str
    expression: ExpressionField
    kind: TermKind


class Residual(BaseModel):
    """A smooth correction of the log latency.

    Attributes
    ----------
    features : tuple of Expression
        Usually logs of sizes.
    degree : int
        Highest power of the polynomial in them, 0 (no correction) to 4.
    """

    model_config = _FROZEN

    features: tuple[ExpressionField, ...]
    degree: int = Field(ge=0, le=4)


class Hurdle(BaseModel):
    """Where a stage often takes no time, as a queue that nobody waits in.

    A latency above the hurdle follows the physics; whether it is above is a logistic regression.

    Attributes
    ----------
    above_ms : float
        Up to this latency, in ms, nothing happened.
    features : tuple of Expression
        What it depends on; the regression has a constant besides.
    """

    model_config = _FROZEN

    above_ms: float = Field(gt=0, allow_inf_nan=False)
    features: tuple[ExpressionField, ...]


class Stage(BaseModel):
    """A part of the pipeline with a latency of its own.

    Attributes
    ----------
    name : str
        Its name.
    column : str
        Column of the trace that holds its latency, in ms.
    times : Expression
        How often it runs in one request.
    physics : Mapping of str to Term
        Additive terms by name, in the order of the file.
    residual : Residual or None
        None for physics only.
    hurdle : Hurdle or None
        None where a stage always takes time.
    """

    model_config = _FROZEN

    name: str
    column: str
    times: ExpressionField = Expression("1")
    physics: Annotated[Mapping[str, Term], FREEZE, THAW]
    residual: Residual | None = None
    hurdle: Hurdle | None = None
