"""The true parameters of a simulated trace."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bayeslat.errors import InputError
from bayeslat.features.frozen_map import FREEZE, THAW
from bayeslat.features.spec import Spec

__all__ = ["SimulationParameters", "StageParameters", "check_parameters"]

# No latency needs logs beyond these; larger ones only overflow.
type Log = Annotated[float, Field(ge=-50, le=50)]
type Scale = Annotated[float, Field(ge=0, le=50)]
type ByName = Annotated[Mapping[str, Log], FREEZE, THAW]
type ByGroup = Annotated[Mapping[str, ByName], FREEZE, THAW]

_FROZEN = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class StageParameters(BaseModel):
    """What one stage's latencies were drawn from. A group is `gpu`, or `gpu@stack`.

    Attributes
    ----------
    shared_efficiency : mapping of term to float
        theta0: log of the shared slowdown against the data sheet.
    offset : mapping of group to mapping of term to float
        u: what the group adds to it. exp(theta0 + u) is the group's coefficient.
    residual : mapping of group to mapping of column to float
        w: smooth corrections of log latency, per column of the residual basis.
    noise : mapping of group to float
        Scale of the noise of one run, in log latency.
    noise_dof : float or None
        Degrees of freedom of its Student-t; None for normal noise.
    """

    model_config = _FROZEN

    shared_efficiency: ByName
    offset: ByGroup
    residual: ByGroup
    noise: Annotated[Mapping[str, Scale], FREEZE, THAW]
    noise_dof: Annotated[float, Field(gt=0)] | None = None


class SimulationParameters(BaseModel):
    """What a trace was drawn from.

    Attributes
    ----------
    stages : mapping of stage to StageParameters
    """

    model_config = _FROZEN

    stages: Annotated[Mapping[str, StageParameters], FREEZE, THAW]

    def to_json(self) -> str:
        """Return the parameters as JSON."""
        return self.model_dump_json(indent=1)

    @classmethod
    def from_json(cls, text: str) -> SimulationParameters:
        """Read what `to_json` wrote.

        Raises
        ------
        InputError
            With every broken rule.
        """
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            problems = [
                f"{'.'.join(map(str, item['loc'])) or 'parameters'}: {item['msg']}"
                for item in error.errors(include_url=False)
            ]
            raise InputError(f"simulation parameters: {'; '.join(problems)}") from error


def check_parameters(
    parameters: SimulationParameters,
    spec: Spec,
    groups: Sequence[str],
    columns: Mapping[str, Sequence[str]],
) -> None:
    """Refuse parameters that lack what a stage of a group needs, or name what does not exist.

    Parameters of further groups are fine: a part of the GPUs may be simulated.

    Parameters
    ----------
    parameters : SimulationParameters
    spec : Spec
    groups : sequence of str
        `gpu` or `gpu@stack`.
    columns : mapping of stage to sequence of str
        Columns of its residual basis.

    Raises
    ------
    InputError
        With everything that is missing or unknown.
    """
    problems = _difference("stage", parameters.stages, list(spec.stages))
    given = dict.fromkeys(
        group
        for stage in parameters.stages.values()
        for table in (stage.noise, stage.offset, stage.residual)
        for group in table
    )
    absent = [group for group in groups if group not in given]
    problems += [f"no parameters of group {group}" for group in absent]
    if absent and given:
        problems.append(f"they are of {', '.join(given)}")
    groups = [group for group in groups if group in given]
    for name, stage in parameters.stages.items():
        if name not in spec.stages:
            continue
        terms = list(spec.stages[name].physics)
        problems += _difference(f"{name}: shared_efficiency of", stage.shared_efficiency, terms)
        problems += _missing(f"{name}: noise of", stage.noise, groups)
        for what, table, wanted in (
            ("offset", stage.offset, terms),
            ("residual", stage.residual, columns[name]),
        ):
            problems += _missing(f"{name}: {what} of", table, groups)
            for group in groups:
                if group in table:
                    problems += _difference(f"{name}: {what} of {group}:", table[group], wanted)
    if problems:
        raise InputError(f"simulation parameters: {'; '.join(problems)}")


def _difference(what: str, found: Mapping[str, object], wanted: Sequence[str]) -> list[str]:
    """Say which names are missing, and which are unknown."""
    unknown = [name for name in found if name not in wanted]
    told = [f"{what} {', '.join(unknown)} is unknown; take it out"] if unknown else []
    return _missing(what, found, wanted) + told


def _missing(what: str, found: Mapping[str, object], wanted: Sequence[str]) -> list[str]:
    """Say which names are missing."""
    missing = [name for name in wanted if name not in found]
    return [f"{what} {', '.join(missing)} is missing; add it"] if missing else []
