"""Violations of a specification, collected and shown together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from bayeslat.counted import counted
from bayeslat.errors import SpecError
from bayeslat.features.expressions import FUNCTIONS
from bayeslat.features.spec_fields import SpecFields
from bayeslat.features.terms import HARDWARE_FIELDS
from bayeslat.traces.names import TASK

__all__ = ["Location", "Problem", "overlaps", "spec_error"]

type Location = tuple[str | int, ...]


class Problem(NamedTuple):
    """One violation.

    Attributes
    ----------
    location : tuple of str or int
        Keys from the top of the file, for instance ``("stages", "decode", "times")``.
    message : str
        The value, the rule and the cure.
    unknown : str
        The name that nothing defines, if that is what is wrong.
    """

    location: Location
    message: str
    unknown: str = ""


def overlaps(one: Location, other: Location) -> bool:
    """Tell whether one location is the other or lies inside it."""
    return all(mine == theirs for mine, theirs in zip(one, other, strict=False))


def spec_error(source: str, problems: Sequence[Problem], fields: SpecFields) -> SpecError:
    """Put all violations into one error.

    Parameters
    ----------
    source : str
        The file, or what stands for it.
    problems : sequence of Problem
        At least one.
    fields : SpecFields
        The content, for the list of known names.

    Returns
    -------
    SpecError
        One line a violation, and the known names if one of them is about an unknown name.
    """
    count = counted(len(problems), "problem")
    lines = [f"{source}: {count} in the specification"]
    lines += [f"  {_dotted(problem.location)}: {problem.message}" for problem in problems]
    if any(problem.unknown for problem in problems):
        lines += ["known names:", *_known_names(fields)]
    return SpecError("\n".join(lines))


def _dotted(location: Location) -> str:
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return text.removeprefix(".")


def _known_names(fields: SpecFields) -> list[str]:
    groups: dict[str, Iterable[str]] = {
        "knobs": fields.knobs,
        "architecture": fields.architecture,
        "quantities": fields.quantities,
        "hardware": HARDWARE_FIELDS,
        "functions": FUNCTIONS,
        "category": (TASK,),
    }
    return [f"  {group}: {', '.join(names)}" for group, names in groups.items() if [*names]]
