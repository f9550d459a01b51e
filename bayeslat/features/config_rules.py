"""What a spec asks of the configurations it is evaluated at: knobs, task, possible values."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayeslat.features.expressions import Expression
from bayeslat.features.knob_values import KnobValues
from bayeslat.features.misnamed import nearest_column, unused_columns
from bayeslat.features.spec import Spec
from bayeslat.features.stage import Hurdle, Residual
from bayeslat.traces import Violation, locate, violations_at
from bayeslat.traces.cells import blank, to_numbers
from bayeslat.traces.names import TASK
from bayeslat.traces.violations import violations_everywhere

__all__ = ["RowsOfGpu", "config_violations"]

type RowsOfGpu = tuple[Mapping[str, float], NDArray[np.bool_]]
"""Hardware fields of a GPU, empty where it is unknown, and its rows, shape (row,)."""

_SHOWN = 3

_RULES: Mapping[str, Callable[[NDArray[np.float64]], NDArray[np.bool_]]] = {
    "finite": np.isfinite,
    "finite and not negative": lambda values: np.isfinite(values) & (values >= 0),
    "finite and above 0": lambda values: np.isfinite(values) & (values > 0),
}


def config_violations(
    frame: pd.DataFrame, knobs: KnobValues, rows: Sequence[RowsOfGpu]
) -> tuple[Violation, ...]:
    """Find what keeps a spec from being evaluated at rows.

    Parameters
    ----------
    frame : DataFrame, one row a config or measurement
        With unique column names.
    knobs : KnobValues
        Of the same rows.
    rows : sequence of RowsOfGpu
        Every row with each GPU that it is evaluated for.

    Returns
    -------
    tuple of Violation
        Knobs that are missing or no finite numbers; columns that contradict the spec's
        architecture; then physics terms, features and `times` without a possible value.
    """
    return (
        *_bad_knobs(frame, knobs),
        *_bad_constants(frame, knobs.spec),
        *_bad_task(frame, knobs.spec),
        *_bad_values(frame, knobs, rows),
    )


def _bad_knobs(frame: pd.DataFrame, knobs: KnobValues) -> Iterator[Violation]:
    spec, numbers = knobs.spec, knobs.numbers
    unused = unused_columns(frame, spec)
    for knob in spec.knobs:
        default = spec.defaults.get(knob)
        # Where a default follows from what is missing itself, that alone is told.
        sources = default.names & {*spec.knobs} if isinstance(default, Expression) else frozenset()
        if not sources <= numbers.keys():
            continue
        if knob not in numbers:
            near = nearest_column(knob, unused)
            renamed = f"rename column {near!r}, if that is meant, or " if near else ""
            message = f"knob {knob!r} of spec {spec.name!r} is missing; {renamed}add the column"
            yield from violations_everywhere(frame, knob, message)
            continue
        bad = np.isnan(numbers[knob])
        for name in sources:
            bad &= ~np.isnan(numbers[name])
        yield from violations_at(
            frame,
            bad,
            knob,
            f"knob {knob!r} must be a finite number in every row, not text or a truth value; "
            "fill it in, drop the row, or give the knob a value in [defaults] of the spec",
        )


def _bad_constants(frame: pd.DataFrame, spec: Spec) -> Iterator[Violation]:
    """Tell of rows of another architecture: formulas would take the spec's all the same."""
    given = {*spec.architecture} & {*map(str, frame.columns)} - {*spec.knobs}
    used = frozenset[str]().union(*map(spec.dependencies, spec.stage_expressions()))
    for name in sorted(given & used):
        values, _ = to_numbers(frame[name])
        other = ~np.isnan(values) & ~np.isclose(values, spec.architecture[name], rtol=1e-6)
        told = f"{name!r} is {spec.architecture[name]:g} in [architecture] of spec {spec.name!r}"
        message = (
            f"{told}; make it a knob of the spec, take a spec of this architecture, or rename the "
            "column if it means something else"
        )
        yield from violations_at(frame, other, name, message)


def _bad_task(frame: pd.DataFrame, spec: Spec) -> Iterator[Violation]:
    if not spec.uses_task:
        return
    if TASK not in frame:
        yield from violations_everywhere(frame, TASK, "the spec names `task`; add the column")
        return
    message = "the spec names `task`, so every row must have one; fill it in or drop the row"
    yield from violations_at(frame, blank(frame[TASK]), TASK, message, show=False)


@dataclass(frozen=True)
class _ValueRule:
    """What the sum of some expressions must be, in every row."""

    what: str
    rule: str
    added: tuple[Expression, ...]

    @property
    def message(self) -> str:
        return f"{self.what} must be {self.rule}; correct the knobs or the spec, or drop the row"

    def knobs(self, spec: Spec) -> tuple[str, ...]:
        """Name the knobs that decide about it."""
        needed = frozenset().union(*(spec.dependencies(each) for each in self.added))
        return tuple(knob for knob in spec.knobs if knob in needed)


def _value_rules(spec: Spec) -> Iterator[_ValueRule]:
    """Give every rule about values; one of a feature that several stages share."""
    owners: dict[str, list[str]] = {}
    for name, stage in spec.stages.items():
        times = f"times {stage.times.text!r} of stage {name}"
        yield _ValueRule(times, "finite and not negative", (stage.times,))
        terms = [term.expression for term in stage.physics.values()]
        for term, expression in zip(stage.physics, terms, strict=True):
            what = f"physics {term!r} of stage {name}"
            yield _ValueRule(what, "finite and not negative", (expression,))
        yield _ValueRule(f"the physics of stage {name}", "finite and above 0", tuple(terms))
        features = (*_features(stage.residual), *_features(stage.hurdle))
        for feature in dict.fromkeys(feature.text for feature in features):
            owners.setdefault(feature, []).append(name)
    for text, stages in owners.items():
        what = f"feature {text!r} of stage {', '.join(stages)}"
        yield _ValueRule(what, "finite", (Expression(text),))


def _features(part: Residual | Hurdle | None) -> tuple[Expression, ...]:
    return part.features if part is not None else ()


def _bad_values(
    frame: pd.DataFrame, knobs: KnobValues, rows: Sequence[RowsOfGpu]
) -> Iterator[Violation]:
    spec = knobs.spec
    rules = sorted(_value_rules(spec), key=lambda rule: len(rule.knobs(spec)))
    broken = np.zeros((len(rules), len(frame)), dtype=bool)
    for fields, held in rows:
        values = knobs.at(held, fields)
        for number, rule in enumerate(rules):
            total, known = values.total(rule.added)
            broken[number, held] |= known & ~_RULES[rule.rule](total)
    told: list[tuple[set[str], NDArray[np.bool_]]] = []
    for rule, where in zip(rules, broken, strict=True):
        names = rule.knobs(spec)
        # A knob that one expression cannot take breaks the larger ones too: once is enough.
        new = where.copy()
        for smaller, earlier in told:
            if smaller <= set(names):
                new &= ~earlier
        if names:
            told.append((set(names), where))
        yield from _tell(frame, rule.message, names, new, knobs)


def _tell(
    frame: pd.DataFrame,
    message: str,
    names: Sequence[str],
    broken: NDArray[np.bool_],
    knobs: KnobValues,
) -> Iterator[Violation]:
    """Say where a rule is broken: in the column of its knob, or with the values of several."""
    if len(names) == 1:
        yield from violations_at(frame, broken, names[0], message)
        return
    location = locate(frame)
    for violation in violations_at(frame, broken, None, message):
        here = broken & (location.file_index == location.files.index(violation.file))
        positions = np.flatnonzero(here)
        positions = positions[np.argsort(location.rows[positions])][:_SHOWN]
        found = [
            ", ".join(f"{knob} {knobs.numbers[knob][row]:.6g}" for knob in names)
            for row in positions
        ]
        yield replace(violation, found=tuple(dict.fromkeys(filter(None, found))))
