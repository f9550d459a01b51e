"""Columns that a spec does not name, though it probably means them."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

import pandas as pd

from bayeslat.features.spec import Spec
from bayeslat.traces.names import TRACE_COLUMNS

__all__ = ["misnamed_stages", "nearest_column", "unused_columns"]

# All share `t_` and `_ms`. A name that was cut short, as t_vision_ms, is near t_vision_encoder_ms;
# other stages are not near each other.
_NEAR = 0.7
_ALIKE = 0.5  # of what stands between them: t_e2e_ms and t_step_ms share an e


def misnamed_stages(frame: pd.DataFrame, spec: Spec) -> dict[str, str]:
    """Return the name that a latency column probably should have, by the one that it has.

    Parameters
    ----------
    frame : DataFrame, one row a measurement
    spec : Spec

    Returns
    -------
    dict of str to str
        Only where the trace has no column of the name that is meant.

    Examples
    --------
    A spec of `t_prefill_ms` and a trace with `t_prefil_ms` give ``{"t_prefil_ms":
    "t_prefill_ms"}``; so do `prefill_ms` and `t_prefill_s`.
    """
    wanted = spec.latency_columns
    absent = [column for column in wanted if column not in frame]
    near = {name: nearest_column(name, absent) for name in unused_columns(frame, spec)}
    return {name: meant for name, meant in near.items() if meant is not None}


def unused_columns(frame: pd.DataFrame, spec: Spec) -> list[str]:
    """Return the columns of a trace that neither the spec nor traces have a meaning for.

    Parameters
    ----------
    frame : DataFrame
    spec : Spec
    """
    latencies = spec.latency_columns
    taken = {*latencies, *spec.knobs, *spec.stack_columns, *TRACE_COLUMNS}
    return [str(name) for name in frame.columns if name not in taken]


def nearest_column(name: str, columns: Sequence[str]) -> str | None:
    """Return the column whose name is the nearest to another; None if none is near.

    Parameters
    ----------
    name : str
    columns : sequence of str

    Examples
    --------
    >>> nearest_column("t_vision_encoder_ms", ["seconds", "t_vision_ms"])
    't_vision_ms'
    """
    alike = [column for column in columns if _likeness(name, column) > _ALIKE]
    near = difflib.get_close_matches(name, alike, n=1, cutoff=_NEAR)
    return near[0] if near else None


def _likeness(name: str, column: str) -> float:
    """Return how near two names are without what all latencies share."""
    one, other = (
        each.removeprefix("t_").removesuffix("s").removesuffix("m").removesuffix("_")
        for each in (name, column)
    )
    return difflib.SequenceMatcher(None, one, other).ratio()
