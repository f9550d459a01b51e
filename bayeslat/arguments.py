"""What is easily given in place of a spec, a trace or a list of GPUs, from Python."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from bayeslat.errors import InputError
from bayeslat.features.spec import Spec

__all__ = ["check_fit", "check_table"]


def check_table(traces: object) -> None:
    """Refuse what is no trace.

    Raises
    ------
    InputError
        If it is no table.
    """
    _refuse([_no_table(traces)])


def check_fit(spec: object, traces: object, gpus: Sequence[str] | None) -> None:
    """Refuse what cannot be fitted.

    Raises
    ------
    InputError
        With every argument that is of another kind.
    """
    problems = []
    if not isinstance(spec, Spec):
        problems.append(f"spec is {_kind(spec)}; load it with load_spec(path)")
    problems.append(_no_table(traces))
    if isinstance(gpus, str):  # a sequence of str too: of its letters
        problems.append(f"gpus is the text {gpus!r}; give a list of names, as in [{gpus!r}]")
    elif gpus is not None and not len(gpus):
        problems.append("gpus names no GPU; name at least one, or leave it out to fit all")
    _refuse(problems)


def _no_table(traces: object) -> str:
    """Say what was given in place of a trace; nothing if it is a table."""
    if isinstance(traces, pd.DataFrame):
        return ""
    return f"traces is {_kind(traces)}; read a table with read_traces(path)"


def _refuse(problems: Sequence[str]) -> None:
    """Raise an error with all problems that are none empty."""
    if told := [problem for problem in problems if problem]:
        raise InputError("; ".join(told))


def _kind(value: object) -> str:
    """Say what a value is: a text itself, of anything else the type."""
    return f"the text {value!r}" if isinstance(value, str) else f"a {type(value).__name__}"
