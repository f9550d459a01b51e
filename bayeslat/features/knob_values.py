"""The knobs of many rows as numbers, also where some cells hold none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayeslat.features.expressions import Expression
from bayeslat.features.namespace import Namespace
from bayeslat.features.spec import Spec
from bayeslat.features.terms import HARDWARE_FIELDS
from bayeslat.traces.cells import to_numbers, wrong_text
from bayeslat.traces.names import TASK

__all__ = ["KnobValues", "RowValues", "read_knobs"]


@dataclass(frozen=True)
class KnobValues:
    """The columns that a spec's expressions may name, of rows that may break any rule.

    Attributes
    ----------
    spec : Spec
    numbers : mapping of knob to ndarray of float, shape (row,)
        NaN where a cell is no finite number. Without the knobs that the rows lack.
    task : ndarray of object, shape (row,), or None
        None where a cell is no text.
    """

    spec: Spec
    numbers: Mapping[str, NDArray[np.float64]]
    task: NDArray[np.object_] | None

    def at(self, rows: NDArray[np.bool_], fields: Mapping[str, float]) -> RowValues:
        """Return the values of every name for some rows.

        Parameters
        ----------
        rows : ndarray of bool, shape (row,)
        fields : mapping of str to float
            The hardware fields of their GPU; empty where nobody knows it.
        """
        numbers = {name: column[rows] for name, column in self.numbers.items()}
        columns: dict[str, NDArray[np.float64] | NDArray[np.object_]] = {**numbers}
        if self.task is not None:
            columns[TASK] = self.task[rows]
        names = self.spec.namespace(columns, fields)
        return RowValues(self.spec, numbers, {*columns, *fields}, names, int(rows.sum()))


@dataclass(frozen=True)
class RowValues:
    """Values of a spec's expressions for rows of one GPU.

    Attributes
    ----------
    spec : Spec
    numbers : mapping of knob to ndarray of float, shape (row,)
    given : set of str
        The knobs and hardware fields that have values.
    names : Namespace
    count : int
        Number of rows.
    """

    spec: Spec
    numbers: Mapping[str, NDArray[np.float64]]
    given: set[str]
    names: Namespace
    count: int

    def total(
        self, expressions: Iterable[Expression]
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Add expressions up.

        Parameters
        ----------
        expressions : iterable of Expression

        Returns
        -------
        values : ndarray, shape (row,)
            Not checked for NaN and inf.
        known : ndarray of bool, shape (row,)
            Where every knob that the expressions need is a finite number. Nowhere, if one of
            these knobs or hardware fields has no values at all.
        """
        added = tuple(expressions)
        needed = frozenset().union(*(self.spec.dependencies(each) for each in added))
        knobs = needed & set(self.spec.knobs)
        if not (knobs | (needed & {TASK, *HARDWARE_FIELDS})) <= self.given:
            return np.full(self.count, np.nan), np.zeros(self.count, dtype=bool)
        known = np.ones(self.count, dtype=bool)
        for knob in knobs:
            known &= np.isfinite(self.numbers[knob])
        values = np.zeros(self.count)
        for each in added:
            values = values + self.names.evaluate(each)
        return values, known


def read_knobs(frame: pd.DataFrame, spec: Spec) -> KnobValues:
    """Read the knobs of rows, and their task.

    Parameters
    ----------
    frame : DataFrame, one row a config or measurement
    spec : Spec

    Returns
    -------
    KnobValues
    """
    numbers = {}
    for knob in spec.knobs:
        if knob in frame:
            values, wrong = to_numbers(frame[knob])
            numbers[knob] = np.where(wrong | ~np.isfinite(values), np.nan, values)
    task = None
    if TASK in frame:
        task = frame[TASK].to_numpy(dtype=object, copy=True)
        task[frame[TASK].isna().to_numpy() | wrong_text(frame[TASK])] = None
    return KnobValues(spec, numbers, task)
