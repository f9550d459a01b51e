"""The rules that a specification must keep beyond its form."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bayeslat.features.expressions import FUNCTIONS, Expression
from bayeslat.features.names import did_you_mean, is_plain_name
from bayeslat.features.spec_fields import SpecFields, reachable
from bayeslat.features.spec_problems import Location, Problem
from bayeslat.features.stage import Stage
from bayeslat.features.terms import HARDWARE_FIELDS
from bayeslat.traces.names import TASK, TRACE_COLUMNS

__all__ = ["find_problems"]

_PLAIN = "must be a name: a letter, then letters, digits or _, and no word of Python"


def find_problems(fields: SpecFields) -> list[Problem]:
    """Return every violation, in the order of the file.

    Parameters
    ----------
    fields : SpecFields
        The content of a specification.

    Returns
    -------
    list of Problem
        Empty for a specification that can be used.
    """
    return [
        *_top_level(fields),
        *_defaults(fields),
        *_names(fields),
        *_quantities(fields),
        *(problem for stage in fields.stages.values() for problem in _stage(stage, fields)),
        *_columns(fields),
    ]


def _top_level(fields: SpecFields) -> Iterator[Problem]:
    if not fields.name.strip():
        yield Problem(("name",), 'is missing or empty; add name = "..."')
    if not fields.knobs:
        yield Problem(
            ("knobs",), "lists no knob; name the columns that set a configuration, as in "
            'knobs = ["batch_size"]'
        )  # fmt: skip
    if not fields.stages:
        yield Problem(("stages",), "there is no stage; add a table [stages.NAME.physics]")


def _defaults(fields: SpecFields) -> Iterator[Problem]:
    known = {*fields.architecture, *fields.knobs} - fields.defaults.keys()
    for name, default in fields.defaults.items():
        at: Location = ("defaults", name)
        if name not in fields.knobs:
            hint = did_you_mean(name, fields.knobs) or "; list it among the knobs, or drop it"
            yield Problem(at, f"{name!r} is no knob{hint}")
        if isinstance(default, Expression):
            for unknown in sorted(default.names - known):
                yield Problem(
                    at,
                    f"unknown name {unknown!r}; a default may name knobs, of those with defaults "
                    "the ones before it, and architecture constants",
                    unknown,
                )
        known.add(name)
    taken = {"gpu", "stack", TASK}
    for index, name in enumerate(fields.stack_columns):
        if name in taken or name in fields.knobs:
            rule = f"{name!r} has a meaning already; name a further column of the trace"
            yield Problem(("stack_columns", index), rule)


def _names(fields: SpecFields) -> Iterator[Problem]:
    """Check that each name is plain and means one thing."""
    owners: dict[str, str] = dict.fromkeys(FUNCTIONS, "a function")
    owners |= dict.fromkeys(HARDWARE_FIELDS, "a field of the hardware table")
    owners |= dict.fromkeys(TRACE_COLUMNS, "a column of the trace table with its own meaning")
    for location, name, owner in _definitions(fields):
        if not is_plain_name(name):
            yield Problem(location, f"{name!r} {_PLAIN}; rename it")
        elif name in owners:
            yield Problem(location, f"{name!r} is already {owners[name]}; choose another name")
        owners.setdefault(name, owner)


def _definitions(fields: SpecFields) -> Iterator[tuple[Location, str, str]]:
    for index, name in enumerate(fields.knobs):
        yield ("knobs", index), name, "a knob"
    for name in fields.architecture:
        yield ("architecture", name), name, "an architecture constant"
    for name in fields.quantities:
        yield ("quantities", name), name, "a quantity"


def _quantities(fields: SpecFields) -> Iterator[Problem]:
    known = _base_names(fields)
    for name, expression in fields.quantities.items():
        yield from _expression(("quantities", name), expression, known, fields, owner=name)
        known |= {name}


def _base_names(fields: SpecFields) -> frozenset[str]:
    return frozenset({*fields.knobs, *fields.architecture, *HARDWARE_FIELDS, TASK})


def _stage(stage: Stage, fields: SpecFields) -> Iterator[Problem]:
    at: Location = ("stages", stage.name)
    known = _base_names(fields) | set(fields.quantities)
    if not is_plain_name(stage.name):
        yield Problem(at, f"{stage.name!r} {_PLAIN}; rename the stage")
    if stage.name == "total":
        yield Problem(at, "'total' is the sum over stages in every output; rename the stage")
    if not stage.physics:
        yield Problem((*at, "physics"), 'there is no term; add one, as in launch = "0.01"')
    yield from _times(stage, fields, known)
    for term in stage.physics.values():
        where = (*at, "physics", term.name)
        if not is_plain_name(term.name):
            yield Problem(where, f"{term.name!r} {_PLAIN}; rename the term")
        yield from _expression(where, term.expression, known, fields)
    yield from _residual(stage, fields, known)
    if stage.hurdle is not None:
        yield from _features((*at, "hurdle", "features"), stage.hurdle.features, fields, known)


def _times(stage: Stage, fields: SpecFields, known: frozenset[str]) -> Iterator[Problem]:
    at: Location = ("stages", stage.name, "times")
    found = list(_expression(at, stage.times, known, fields))
    yield from found
    if found:
        return
    hardware = sorted(fields.dependencies(stage.times) & set(HARDWARE_FIELDS))
    if hardware:
        yield Problem(
            at,
            f"{stage.times.text!r} depends on the hardware field {hardware[0]!r}; how often a "
            "stage runs must depend on knobs and constants only",
        )


def _residual(stage: Stage, fields: SpecFields, known: frozenset[str]) -> Iterator[Problem]:
    residual = stage.residual
    if residual is None:
        return
    at: Location = ("stages", stage.name, "residual", "features")
    if residual.degree > 0 and not residual.features:
        yield Problem(at, "lists no feature; add one, set degree = 0 or drop the table")
    yield from _features(at, residual.features, fields, known)


def _features(
    at: Location, features: Sequence[Expression], fields: SpecFields, known: frozenset[str]
) -> Iterator[Problem]:
    seen: set[str] = set()
    for index, feature in enumerate(features):
        yield from _expression((*at, index), feature, known, fields)
        if feature.canonical in seen:
            yield Problem((*at, index), f"{feature.text!r} is listed twice; drop one")
        seen.add(feature.canonical)


def _columns(fields: SpecFields) -> Iterator[Problem]:
    owners: dict[str, str] = {}
    for stage in fields.stages.values():
        at: Location = ("stages", stage.name, "column")
        if not stage.column.strip():
            yield Problem(at, f'is empty; name a column of the trace, as in "t_{stage.name}_ms"')
        elif stage.column in TRACE_COLUMNS or stage.column in fields.knobs:
            yield Problem(at, f"{stage.column!r} is not a latency; name the column of the stage")
        elif stage.column in owners:
            yield Problem(
                at, f"{stage.column!r} is the column of stage {owners[stage.column]!r} already"
                "; name another"
            )  # fmt: skip
        owners.setdefault(stage.column, stage.name)


def _expression(
    location: Location,
    expression: Expression,
    known: frozenset[str],
    fields: SpecFields,
    owner: str = "",
) -> Iterator[Problem]:
    """Check one expression; `owner` is the quantity that it defines, if any."""
    for name in sorted(expression.names - known):
        if name in fields.quantities:
            yield Problem(location, _order(name, owner, fields))
        else:
            yield _unknown(location, name, known, fields)
    for name in sorted((expression.categories & known) - {TASK}):
        yield Problem(
            location, f"{name!r} is a number and is compared with a text; only {TASK!r} may be"
        )
    if TASK in expression.numeric_names:
        yield Problem(
            location, f'{TASK!r} is a text; compare it with == or !=, as in {TASK} == "qa"'
        )


def _order(name: str, owner: str, fields: SpecFields) -> str:
    if name == owner:
        return f"{owner!r} names itself; write it without {owner!r}"
    if owner in reachable([name], fields.quantity_names):
        return f"{owner!r} names {name!r}, which needs {owner!r} in turn; break the circle"
    return f"{owner!r} names {name!r}, which is defined later; move {name!r} above {owner!r}"


def _unknown(location: Location, name: str, known: frozenset[str], fields: SpecFields) -> Problem:
    columns = {*fields.latency_columns}
    if name in columns | TRACE_COLUMNS:
        why = f"unknown name {name!r}: this column of the trace is not open to expressions"
        return Problem(location, f"{why}; use knobs and constants", name)
    hint = did_you_mean(name, known) or "; correct it, or define it as a knob or a quantity"
    return Problem(location, f"unknown name {name!r}{hint}", name)
