"""The form of a specification file: which keys it has and what type each value is."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from bayeslat.features.names import did_you_mean
from bayeslat.features.spec_problems import Location, Problem
from bayeslat.features.terms import TermKind

__all__ = ["FileHurdle", "FileResidual", "FileSpec", "FileStage", "FileTerm", "read_form"]


def _number_as_text(value: object) -> object:
    """Let `launch = 0.01` stand for `launch = "0.01"`."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return repr(value) if is_number else value


ExpressionText = Annotated[str, BeforeValidator(_number_as_text)]
_STRICT = ConfigDict(extra="forbid", strict=True)


class FileTerm(BaseModel):
    """A term: an expression, or a table with its kind."""

    model_config = _STRICT
    ms: ExpressionText | None = None
    kind: TermKind | None = Field(default=None, strict=False)

    @model_validator(mode="before")
    @classmethod
    def _plain_text(cls, value: object) -> object:
        """Let a plain expression stand for a table that holds only that."""
        return {"ms": value} if isinstance(_number_as_text(value), str) else value


class FileResidual(BaseModel):
    """A table `[stages.NAME.residual]`."""

    model_config = _STRICT
    features: list[ExpressionText] | None = None
    degree: int | None = Field(default=None, ge=0, le=4)


class FileHurdle(BaseModel):
    """A table `[stages.NAME.hurdle]`."""

    model_config = _STRICT
    above_ms: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    features: list[ExpressionText] | None = None


class FileStage(BaseModel):
    """A table `[stages.NAME]`."""

    model_config = _STRICT
    column: str | None = None
    times: ExpressionText = "1"
    physics: dict[str, FileTerm] = {}
    residual: FileResidual | None = None
    hurdle: FileHurdle | None = None


class FilePrior(BaseModel):
    """A table `[priors.KIND]`: the fields to change."""

    model_config = _STRICT
    slowdown: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    slowdown_log_sd: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    offset_scale: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    shared_sd: float | None = Field(default=None, gt=0, allow_inf_nan=False)


class FileSpec(BaseModel):
    """The whole file."""

    # No key is required here: what is missing is told with all the rest, by the rules.
    model_config = _STRICT
    name: str = ""
    description: str = ""
    knobs: list[str] = []
    defaults: dict[str, float | str] = {}
    stack_columns: list[str] = []
    architecture: dict[str, Any] = {}
    quantities: dict[str, ExpressionText] = {}
    stages: dict[str, FileStage] = {}
    priors: dict[str, FilePrior] = {}


def read_form(table: Mapping[str, Any]) -> tuple[FileSpec, list[Problem]]:
    """Validate the form; after each complaint, leave that part out and look at the rest.

    Parameters
    ----------
    table : Mapping
        The parsed TOML, which is not changed.

    Returns
    -------
    form : FileSpec
        All that has the right form.
    problems : list of Problem
        The rest.
    """
    problems: list[Problem] = []
    rest = copy.deepcopy(dict(table))
    while True:
        try:
            return FileSpec.model_validate(rest), problems
        except ValidationError as error:
            details = error.errors(include_url=False, include_context=False)
            paths = [_present(rest, detail["loc"]) for detail in details]
            new = zip(paths, details, strict=True)
            problems += [Problem(path, _complaint(path, detail)) for path, detail in new]
            for path in paths:
                _drop(rest, path)


def _present(table: Any, location: Location) -> Location:
    """Return the part of a pydantic location that is a path in the table."""
    path: list[str | int] = []
    for part in location:
        inside = isinstance(table, dict) and part in table
        inside = inside or (isinstance(table, list) and isinstance(part, int))
        if not inside:
            break
        path.append(part)
        table = table[part]
    return tuple(path)


def _drop(table: Any, path: Location) -> None:
    """Delete the entry of a table, or the whole list in which the path ends."""
    for part in path[:-1]:
        if not isinstance(table, dict) or part not in table or isinstance(table[part], list):
            path = (part,)
            break
        table = table[part]
    table.pop(path[-1], None)


def _complaint(path: Location, detail: Any) -> str:
    if detail["type"] == "extra_forbidden":
        known = _known_keys(path)
        return (
            f"unknown key{did_you_mean(str(path[-1]), known)}; the keys here are {', '.join(known)}"
        )
    if detail["type"] in ("model_type", "dict_type"):
        is_term = len(path) == 4 and path[2] == "physics"
        rule = 'must be an expression or a table { ms = "..." }' if is_term else "must be a table"
    else:
        rule = detail["msg"].replace("Input should be", "must be").replace("valid ", "")
    shown = repr(detail["input"])
    shown = shown if len(shown) <= 60 else shown[:57] + "..."
    return f"{rule}; it is {shown}"


def _known_keys(path: Location) -> tuple[str, ...]:
    if path[0] == "priors":
        model: type[BaseModel] = FilePrior
    elif "physics" in path[2:3]:
        model = FileTerm
    elif "residual" in path[2:3] and len(path) > 3:
        model = FileResidual
    else:
        model = FileStage if len(path) > 1 else FileSpec
    return tuple(model.model_fields)
