"""The TOML form of a specification: reading it into fields, noting everything that is wrong."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bayeslat.errors import ExpressionError, SpecError
from bayeslat.features.architecture import read_architecture
from bayeslat.features.expressions import FUNCTIONS, Expression
from bayeslat.features.names import did_you_mean
from bayeslat.features.spec_fields import SpecFields, reachable
from bayeslat.features.spec_form import (
    FileHurdle,
    FileResidual,
    FileSpec,
    FileStage,
    FileTerm,
    read_form,
)
from bayeslat.features.spec_problems import Location, Problem, overlaps
from bayeslat.features.stage import Hurdle, Residual, Stage, Term
from bayeslat.features.terms import DEFAULT_PRIORS, HARDWARE_FIELDS, KindPrior, TermKind, infer_kind
from bayeslat.finite import finite_number
from bayeslat.traces.names import TRACE_COLUMNS

__all__ = ["parse_toml", "read_fields"]

type Links = Mapping[str, frozenset[str]]


def parse_toml(text: str, source: str) -> dict[str, Any]:
    """Parse TOML.

    Parameters
    ----------
    text : str
        The content of a file.
    source : str
        Its name, for the error.

    Raises
    ------
    SpecError
        If it is not TOML; the message has the line and column.
    """
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise SpecError(f"{source}: not TOML: {error}; correct the file there") from None


def read_fields(table: Mapping[str, Any], base: Path | None) -> tuple[SpecFields, list[Problem]]:
    """Read the content of a specification, leaving out what has the wrong form.

    Parameters
    ----------
    table : Mapping
        The parsed TOML.
    base : Path or None
        Folder that `architecture.file` is relative to; None if there is none.

    Returns
    -------
    fields : SpecFields
        What could be read. Its rules are not checked.
    problems : list of Problem
        Every violation of the form.
    """
    form, problems = read_form(table)
    reader = _Reader(base, tuple(problems), problems)
    quantities = {
        name: reader.expression(("quantities", name), text)
        for name, text in form.quantities.items()
    }
    links = {name: expression.names for name, expression in quantities.items()}
    fields = SpecFields(
        name=form.name,
        description=form.description,
        knobs=tuple(form.knobs),
        defaults=reader.defaults(form),
        stack_columns=tuple(form.stack_columns),
        architecture=reader.architecture(form),
        quantities=quantities,
        stages={name: reader.stage(name, stage, links) for name, stage in form.stages.items()},
        priors=reader.priors(form),
    )
    return fields, problems


@dataclass(frozen=True)
class _Reader:
    """Turns the parts of a form into values, adding to `problems` what cannot be turned.

    Whatever is wrong gets a stand-in, so that the rest can still be checked; a specification with
    a problem is never used.
    """

    base: Path | None
    left_out: tuple[Problem, ...]
    problems: list[Problem]

    def expression(self, at: Location, text: str) -> Expression:
        """Parse an expression; the stand-in is a number that no other stand-in is."""
        try:
            return Expression(text)
        except ExpressionError as error:
            self.problems.append(Problem(at, str(error)))
            return Expression(str(len(self.problems)))

    def architecture(self, form: FileSpec) -> dict[str, float]:
        """Collect constants; those inline go before those of the file."""
        constants: dict[str, float] = {}
        try:
            constants = _from_file(form, self.base)
        except SpecError as error:
            self.problems.append(Problem(("architecture", "file"), str(error)))
        for key, value in form.architecture.items():
            number = finite_number(value)
            if number is not None:
                constants[key] = number
            elif key != "file":
                rule = f"must be a finite number; it is {value!r:.60}"
                self.problems.append(Problem(("architecture", key), rule))
        return constants

    def defaults(self, form: FileSpec) -> dict[str, float | Expression]:
        """Collect what knobs are where rows leave them out."""
        found: dict[str, float | Expression] = {}
        for key, value in form.defaults.items():
            at = ("defaults", key)
            if isinstance(value, str):
                found[key] = self.expression(at, value)
            elif math.isfinite(value):
                found[key] = value
            else:
                self.problems.append(Problem(at, "must be a finite number"))
        return found

    def priors(self, form: FileSpec) -> dict[TermKind, KindPrior]:
        """Lay the priors of the file over the defaults."""
        kinds = [str(kind) for kind in TermKind]
        priors = dict(DEFAULT_PRIORS)
        for key, prior in form.priors.items():
            if key not in kinds:
                rule = f"unknown kind of term{did_you_mean(key, kinds)}; the kinds are "
                self.problems.append(Problem(("priors", key), rule + ", ".join(kinds)))
                continue
            given = prior.model_dump(exclude_none=True)
            default = priors[TermKind(key)].model_dump()
            priors[TermKind(key)] = KindPrior.model_validate({**default, **given})
        return priors

    def stage(self, name: str, form: FileStage, links: Links) -> Stage:
        """Build a stage."""
        at: Location = ("stages", name)
        terms = {
            key: self._term((*at, "physics", key), key, term, links)
            for key, term in form.physics.items()
        }
        return Stage(
            name=name,
            column=f"t_{name}_ms" if form.column is None else form.column,
            times=self.expression((*at, "times"), form.times),
            physics=terms,
            residual=self._residual((*at, "residual"), form.residual),
            hurdle=self._hurdle((*at, "hurdle"), form.hurdle),
        )

    def _term(self, at: Location, name: str, form: FileTerm, links: Links) -> Term:
        if form.ms is None:
            self._missing((*at, "ms"), 'ms = "..."')
        expression = self.expression(at, "0" if form.ms is None else form.ms)
        kind = form.kind
        try:
            kind = kind or infer_kind(reachable(expression.names, links))
        except SpecError as error:
            self.problems.append(Problem(at, str(error)))
        return Term(name=name, expression=expression, kind=kind or TermKind.launch)

    def _residual(self, at: Location, form: FileResidual | None) -> Residual | None:
        if form is None:
            return None
        if form.features is None:
            self._missing((*at, "features"), 'features = ["..."]')
        if form.degree is None:
            self._missing((*at, "degree"), "degree = 0 to 4")
        return Residual(features=self._features(at, form.features), degree=form.degree or 0)

    def _hurdle(self, at: Location, form: FileHurdle | None) -> Hurdle | None:
        if form is None:
            return None
        if form.above_ms is None:
            self._missing((*at, "above_ms"), "above_ms = 1.0")
        if form.features is None:
            self._missing((*at, "features"), 'features = ["..."]')
        features = self._features(at, form.features)
        return Hurdle(above_ms=form.above_ms or 1.0, features=features)

    def _features(self, at: Location, texts: list[str] | None) -> tuple[Expression, ...]:
        return tuple(
            self.expression((*at, "features", index), text)
            for index, text in enumerate(texts or ())
        )

    def _missing(self, at: Location, lines: str) -> None:
        """Note a missing key, unless it is missing because its value was left out."""
        if not any(overlaps(at, problem.location) for problem in self.left_out):
            self.problems.append(Problem(at, f"is missing; write {lines}"))


def _from_file(form: FileSpec, base: Path | None) -> dict[str, float]:
    """Read the model's file, leaving out fields whose name the spec has given to something else."""
    file = form.architecture.get("file")
    if file is None:
        return {}
    if not isinstance(file, str) or not file or "\0" in file:
        raise SpecError(f"must be the path of a model's config.json; it is {file!r:.60}")
    if base is None and not Path(file).is_absolute():
        raise SpecError(f"{file!r} is relative, and the spec has no folder; give `base`")
    taken = {*form.knobs, *form.quantities, *HARDWARE_FIELDS, *FUNCTIONS, *TRACE_COLUMNS, "file"}
    constants = read_architecture((base or Path()) / file)
    return {key: value for key, value in constants.items() if key not in taken}
