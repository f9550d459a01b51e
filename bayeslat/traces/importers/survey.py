"""What the rows that were read hold, and why some cannot be used."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa

from bayeslat.traces.importers.clean import REFUSED
from bayeslat.traces.importers.staging import Stage

__all__ = ["GROUPS", "Survey", "survey_rows"]

GROUPS = ("gpu", "stack", "model")


@dataclass(frozen=True, slots=True)
class Survey:
    """What a stage holds.

    Attributes
    ----------
    n_rows : int
        Rows that can be used.
    refused : Counter of str
        Rows that cannot, by reason.
    filled : frozenset of str
        Columns that some usable row fills.
    named : mapping of {"gpu", "stack", "model"} to Counter
        How many usable rows name each; None counts those that name none.
    """

    n_rows: int
    refused: Counter[str]
    filled: frozenset[str]
    named: Mapping[str, Counter[str | None]]


def survey_rows(stage: Stage) -> Survey:
    """Look through all rows of a stage.

    Parameters
    ----------
    stage : Stage

    Returns
    -------
    Survey
    """
    refused: Counter[str] = Counter()
    named: dict[str, Counter[str | None]] = {group: Counter() for group in GROUPS}
    filled: set[str] = set()
    n_rows = 0
    for table, _ in stage.tables():
        refused.update(_counts(table[REFUSED].drop_null()))
        usable = table.filter(table[REFUSED].is_null())
        n_rows += usable.num_rows
        for column in stage.columns:
            if usable[column.name].null_count < usable.num_rows:
                filled.add(column.name)
        for group, counter in named.items():
            if group in table.column_names:
                counter.update(_counts(usable[group]))
            elif usable.num_rows:
                counter[None] += usable.num_rows
    return Survey(n_rows, refused, frozenset(filled), named)


def _counts(cells: pa.ChunkedArray) -> dict[str, int]:
    """Return how often each value occurs."""
    return {pair["values"]: pair["counts"] for pair in cells.value_counts().to_pylist()}
