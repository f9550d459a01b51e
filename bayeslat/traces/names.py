"""The names of a trace's columns."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pandas as pd

__all__ = [
    "COLLECTED_AT",
    "CONFIG_ID",
    "GPU",
    "MEASURED",
    "OUTCOME",
    "REPEAT",
    "STACK",
    "TASK",
    "TRACE_COLUMNS",
    "is_stage_column",
    "latency_columns",
    "stage_columns",
    "wrong_stack",
]

GPU = "gpu"
STACK = "stack"
TASK = "task"
CONFIG_ID = "config_id"
REPEAT = "repeat"
COLLECTED_AT = "collected_at"
OUTCOME = "outcome"
MEASURED = "measured"  # any other outcome says why a row holds no latency

#: What a trace says of its rows, whatever the spec.
TRACE_COLUMNS = frozenset({GPU, STACK, TASK, CONFIG_ID, REPEAT, COLLECTED_AT, OUTCOME})

_STAGE = re.compile(r"t_([A-Za-z0-9]\w*)_ms", re.ASCII)


def is_stage_column(name: object) -> bool:
    """Tell whether a column holds a stage's latency: `t_<stage>_ms`."""
    return isinstance(name, str) and _STAGE.fullmatch(name) is not None


def stage_columns(frame: pd.DataFrame) -> tuple[str, ...]:
    """Return the latency columns `t_<stage>_ms` of a frame, in its order."""
    return tuple(name for name in frame.columns if is_stage_column(name))


def latency_columns(frame: pd.DataFrame, named: Sequence[str] = ()) -> tuple[str, ...]:
    """Return the latency columns of a frame, in its order: `t_<stage>_ms`, and those of a spec.

    Parameters
    ----------
    frame : DataFrame
    named : sequence of str
        Columns that a spec names, which may be called anything.
    """
    return tuple(name for name in frame.columns if is_stage_column(name) or name in named)


def wrong_stack(stack: object) -> str:
    """Say that what is given for a stack is no name; nothing if it is one, or None.

    Examples
    --------
    >>> wrong_stack("v1"), wrong_stack(None), wrong_stack(3)
    ('', '', 'stack is 3; name one of the traces, or leave it out')
    >>> wrong_stack("v1 ")
    "stack is 'v1 '; name one of the traces, without spaces around it, or leave it out"
    """
    bare = stack.strip() if isinstance(stack, str) else ""
    if stack is None or (bare and bare == stack):
        return ""
    without = ", without spaces around it," if bare else ","
    return f"stack is {stack!r}; name one of the traces{without} or leave it out"
