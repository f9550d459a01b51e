"""Model specifications: what a user writes about a model's stages, in TOML."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy.typing as npt
import pandas as pd
from pydantic import Field, model_validator

from bayeslat.caches import without_caches
from bayeslat.counted import listed
from bayeslat.errors import SpecError
from bayeslat.features.complete import complete_rows
from bayeslat.features.expressions import Expression, FloatArray
from bayeslat.features.gpu import Gpu
from bayeslat.features.namespace import Namespace
from bayeslat.features.spec_fields import SpecFields
from bayeslat.features.spec_file import parse_toml, read_fields
from bayeslat.features.spec_problems import overlaps, spec_error
from bayeslat.features.spec_rules import find_problems
from bayeslat.features.spec_tables import meaning, tables
from bayeslat.features.stage import Hurdle, Residual, Stage, Term
from bayeslat.features.terms import HARDWARE_FIELDS
from bayeslat.paths import as_path
from bayeslat.traces.names import TASK

__all__ = ["Hurdle", "Residual", "Spec", "Stage", "Term", "load_spec"]

_FORMAT = "bayeslat-spec-1"
# Where names are defined one by one, and where a fault leaves all names of the place unknown.
_NAME_TABLES = ("architecture", "quantities")
_NAME_SOURCES = (("architecture",), ("architecture", "file"), ("quantities",))


class Spec(SpecFields):
    """A valid model specification; see `SpecFields` for what it holds.

    Build one with `load_spec`, `Spec.from_text` or `Spec.loads`. Two specs are equal if their
    content and TOML text are; `hash` compares what they mean.

    Attributes
    ----------
    text : str
        The TOML that it was read from.

    Raises
    ------
    SpecError
        If it breaks a rule; the message has every violation.
    """

    text: str = Field(default="", repr=False)

    @model_validator(mode="after")
    def _keep_rules(self) -> Self:
        problems = find_problems(self)
        if problems:
            raise spec_error(f"spec {self.name!r}", problems, self)
        return self

    def __hash__(self) -> int:
        return hash(self.hash)

    def __repr__(self) -> str:
        return f"<Spec of {self.name}: {listed(self.stages)}; knobs {listed(self.knobs)}>"

    __str__ = __repr__

    def __getstate__(self) -> dict[Any, Any]:
        return {**super().__getstate__(), "__dict__": without_caches(self)}

    @cached_property
    def uses_task(self) -> bool:
        """Whether an expression names the category `task`."""
        return any(TASK in expression.names for expression in self.expressions())

    @cached_property
    def hardware_fields(self) -> tuple[str, ...]:
        """The hardware fields that its stages depend on."""
        needed = frozenset[str]().union(
            *(self.dependencies(each) for each in self.stage_expressions())
        )
        return tuple(field for field in HARDWARE_FIELDS if field in needed)

    @cached_property
    def hash(self) -> str:
        """SHA-256 (hex) of what the specification means.

        It does not change with comments, blanks (inside expressions too), the order of stages,
        terms, constants and other keys of tables, the description, constants that no expression
        uses, or priors of kinds that no term has; nor with whether a constant was written inline
        or came from a file, or a kind was inferred. It does change with the order of knobs,
        quantities and residual features, and with defaults of the package that the file leaves
        out.
        """
        content = json.dumps(meaning(self), sort_keys=True, allow_nan=False)
        return hashlib.sha256(content.encode("ascii")).hexdigest()

    def only(self, stages: Iterable[str]) -> Spec:
        """Return the specification of some of its stages, in its order.

        All knobs stay: they tell configurations apart.

        Parameters
        ----------
        stages : iterable of str

        Raises
        ------
        SpecError
            If a name is none of its stages, or there are none.
        """
        chosen = frozenset(stages)
        told = ", ".join(self.stages)
        if unknown := [repr(name) for name in sorted(chosen) if name not in self.stages]:
            raise SpecError(
                f"spec {self.name!r} has no stage {', '.join(unknown)}; choose of {told}"
            )
        if not chosen:
            raise SpecError(f"no stage of spec {self.name!r} is chosen; choose of {told}")
        fields = {key: getattr(self, key) for key in SpecFields.model_fields}
        fields["stages"] = {name: self.stages[name] for name in self.stages if name in chosen}
        return Spec(**fields, text=self.text)

    def complete(self, frame: pd.DataFrame, software: str | None = None) -> pd.DataFrame:
        """Fill in knobs that rows leave out, and name stacks by all that makes one.

        Parameters
        ----------
        frame : DataFrame, one row a measurement or config
            Any; what is wrong with it is told where it is checked.
        software : str, optional
            That stacks of rows without a `stack` begin with, where `stack_columns` name them.

        Returns
        -------
        DataFrame
            A copy, with the spec's `defaults` where a knob has no value, and `stack` followed by
            the values of `stack_columns`, as in `vllm_0.32.0/qwen3`, and no spaces around names of
            stacks and tasks. The frame itself where nothing is to be done.
        """
        return complete_rows(frame, self.defaults, self.stack_columns, software, self.architecture)

    def config_columns(self, frame: pd.DataFrame) -> list[str]:
        """Return the columns of a frame that tell configurations apart: knobs, and the task.

        Parameters
        ----------
        frame : DataFrame, one row a measurement or config
        """
        return [name for name in (*self.knobs, TASK) if name in frame]

    def at(self, configs: pd.DataFrame, gpu: Gpu) -> Namespace:
        """Return the names of the specification with their values at configurations of a GPU.

        Parameters
        ----------
        configs : DataFrame, one row a config
            Holds the knobs (and the task) that are needed.
        gpu : Gpu
        """
        columns = {name: configs[name].to_numpy() for name in self.config_columns(configs)}
        return self.namespace(columns, gpu.fields())

    def namespace(
        self, columns: Mapping[str, npt.ArrayLike], hardware: Mapping[str, npt.ArrayLike]
    ) -> Namespace:
        """Return the names of the specification with their values, quantities lazily.

        Use it to evaluate several expressions for the same rows.

        Parameters
        ----------
        columns : Mapping of str to array_like
            Knobs (and `task`), shape (config,) or numbers.
        hardware : Mapping of str to array_like
            Hardware fields, numbers or shape (config,).

        Raises
        ------
        InputError
            If two columns differ in length.
        """
        return Namespace(self, columns, hardware)

    def evaluate(
        self,
        expression: str | Expression,
        columns: Mapping[str, npt.ArrayLike],
        hardware: Mapping[str, npt.ArrayLike],
    ) -> FloatArray:
        """Evaluate one expression for every configuration.

        Parameters
        ----------
        expression : str or Expression
            One over the names of the specification.
        columns : Mapping of str to array_like
            Knobs (and `task`), shape (config,) or numbers; only those needed must be there.
        hardware : Mapping of str to array_like
            Hardware fields, numbers or shape (config,); only those needed must be there.

        Returns
        -------
        ndarray of float64, shape (config,)
            Not checked for NaN and inf.

        Raises
        ------
        ExpressionError
            If the expression does not parse or names what the specification does not define.
        InputError
            If a column that it needs is not given, or columns differ in length.
        HardwareError
            If a hardware field that it needs has no value.
        """
        return self.namespace(columns, hardware).evaluate(expression)

    def dumps(self) -> str:
        """Return the whole specification as JSON (ASCII), constants from files included.

        `Spec.loads` gives an equal specification back, on a machine without those files.
        """
        content = {"format": _FORMAT, "text": self.text, "spec": tables(self)}
        return json.dumps(content, allow_nan=False)

    @classmethod
    def loads(cls, text: str) -> Spec:
        """Read what `dumps` wrote.

        Parameters
        ----------
        text : str
            JSON.

        Raises
        ------
        SpecError
            If it is not JSON, of another format, or breaks a rule.
        """
        source = "stored specification"
        try:
            content = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise SpecError(f"{source}: not JSON ({error}); it was cut short or changed") from None
        found = content.get("format") if isinstance(content, dict) else None
        if found != _FORMAT:
            raise SpecError(
                f"{source}: format {found!r:.60}, and this version reads {_FORMAT!r}; load the "
                "spec from its TOML file"
            )
        stored, toml = content.get("spec"), content.get("text")
        if not isinstance(stored, dict) or not isinstance(toml, str):
            raise SpecError(f"{source}: 'spec' and 'text' are missing; load it from its TOML file")
        return _build(stored, toml, source, None)

    @classmethod
    def from_text(cls, text: str, base: Path | None = None) -> Spec:
        """Read a specification from TOML text.

        Parameters
        ----------
        text : str
            The content of a TOML file, as `load_spec` reads it.
        base : Path, optional
            Folder that `architecture.file` is relative to.

        Raises
        ------
        SpecError
            If it is not TOML or breaks a rule; the message has every violation.
        """
        source = "specification text"
        return _build(parse_toml(text, source), text, source, base)


def load_spec(path: str | Path) -> Spec:
    """Read and check a specification file.

    Its keys: ``name``; ``description`` (optional); ``knobs``, a list of columns;
    ``[architecture]``, numbers by name, and ``file``, a Hugging Face `config.json` to take more
    from (numbers given here win); ``[quantities]``, expressions by name, in order;
    ``[stages.NAME]`` with ``column`` (default ``t_NAME_ms``), ``times`` (default ``"1"``), a table
    ``physics`` of terms (an expression in ms, or ``{ ms = "...", kind = "flops" }``; without a kind
    it is inferred from the data-sheet peak) and a table ``residual`` with ``features`` and
    ``degree`` (optional), and a table ``hurdle`` with ``above_ms`` and ``features`` (optional);
    ``[defaults]``, values of knobs by name, or expressions over other knobs, for rows that leave
    them out (optional);
    ``stack_columns``, further columns that tell stacks apart (optional); and ``[priors.KIND]``
    with the fields of `KindPrior` to change.

    Parameters
    ----------
    path : str or Path
        A TOML file.

    Returns
    -------
    Spec
        With every expression parsed and every name found.

    Raises
    ------
    SpecError
        If the file cannot be read, is not TOML or breaks a rule. The message has every violation
        with its place in the file (``stages.llm_prefill.physics.memory``), the rule and the cure.
    InputError
        If `path` is no path.
    """
    file = as_path(path, "models/vlm.toml")
    try:
        text = file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise SpecError(
            f"{path}: cannot be read ({error.strerror or error}); give the path of a spec, a TOML "
            "file"
        ) from None
    except ValueError as error:
        raise SpecError(f"{path}: not UTF-8 text ({error}); give the path of a TOML file") from None
    return _build(parse_toml(text, str(path)), text, str(path), file.parent)


def _build(content: Mapping[str, Any], text: str, source: str, base: Path | None) -> Spec:
    """Check form and rules, and report all that is wrong at once."""
    fields, problems = read_fields(content, base)
    broken = [problem.location for problem in problems]
    # What was left out for its form must not be reported a second time for its absence.
    no_names = any(place[0] == "knobs" or place in _NAME_SOURCES for place in broken)
    left_out = {str(place[1]) for place in broken if place[0] in _NAME_TABLES and len(place) > 1}
    for problem in find_problems(fields):
        cascade = problem.unknown and (no_names or problem.unknown in left_out)
        if not cascade and not any(overlaps(problem.location, place) for place in broken):
            problems.append(problem)
    if problems:
        raise spec_error(source, problems, fields)
    return Spec(**{key: getattr(fields, key) for key in SpecFields.model_fields}, text=text)
