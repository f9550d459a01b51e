"""What is easily given in place of a spec, a table or a list of names, from Python."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import pandas as pd

from bayeslat.errors import InputError
from bayeslat.features.hardware import HardwareTable
from bayeslat.features.spec import Spec
from bayeslat.finite import wrong_seed

__all__ = [
    "check_fit",
    "check_tables",
    "no_hardware",
    "no_names",
    "no_spec",
    "no_table",
    "refuse",
    "tell_kind",
]


def check_tables(hardware: object = None, seed: object = 0, **tables: object) -> None:
    """Refuse what is no table, and no seed.

    Parameters
    ----------
    hardware : object
        A hardware table, or None.
    seed : object
    **tables : object
        Traces, and configurations under any other name.

    Raises
    ------
    InputError
        With every argument that is of another kind.
    """
    problems = [no_table(name, table) for name, table in tables.items()]
    refuse([*problems, no_hardware(hardware), wrong_seed(seed)])


def check_fit(
    spec: object, traces: object, gpus: Sequence[str] | None, hardware: object = None
) -> None:
    """Refuse what cannot be fitted.

    Raises
    ------
    InputError
        With every argument that is of another kind.
    """
    problems = [no_spec(spec), no_table("traces", traces), no_hardware(hardware)]
    if gpus is not None:
        problems.append(no_names("gpus", gpus))
        if not problems[-1] and not len(gpus):
            problems.append("gpus names no GPU; name at least one, or leave it out to fit all")
    refuse(problems)


def no_spec(spec: object) -> str:
    """Say what was given in place of a specification; nothing if it is one."""
    if isinstance(spec, Spec):
        return ""
    return f"spec is {tell_kind(spec)}; load it with load_spec(path)"


def no_table(name: str, table: object) -> str:
    """Say what was given in place of a table; nothing if it is one."""
    if isinstance(table, pd.DataFrame):
        return ""
    if isinstance(table, pd.Series | Mapping):
        return f"{name} is {tell_kind(table)}; give a table, as pd.DataFrame([row]) of one row"
    reader = "read_traces" if name == "traces" else "read_configs"
    return f"{name} is {tell_kind(table)}; read a table with {reader}(path)"


def no_hardware(hardware: object) -> str:
    """Say what was given in place of a hardware table; nothing if it is one, or None."""
    if hardware is None or isinstance(hardware, HardwareTable):
        return ""
    return f"hardware is {tell_kind(hardware)}; load it with load_hardware(path)"


def no_names(name: str, names: object) -> str:
    """Say what was given in place of a list of names: a text is a sequence, too, of its letters."""
    if isinstance(names, Collection) and not isinstance(names, str):
        return ""
    like = f"[{names!r}]" if isinstance(names, str) else "['a', 'b']"
    return f"{name} is {tell_kind(names)}; give a list of names, as in {like}"


def refuse(problems: Sequence[str]) -> None:
    """Raise an error with all problems that are none empty.

    Raises
    ------
    InputError
        If there are any.
    """
    if told := [problem for problem in problems if problem]:
        raise InputError("; ".join(told))


def tell_kind(value: object) -> str:
    """Say what a value is: a text itself, of anything else the type."""
    return f"the text {value!r}" if isinstance(value, str) else f"a {type(value).__name__}"
