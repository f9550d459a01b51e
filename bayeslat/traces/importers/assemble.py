"""The trace from the rows that were read: without the refused, with what holds for all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from bayeslat.traces.importers.clean import REFUSED, arrow_type
from bayeslat.traces.importers.groups import Groups
from bayeslat.traces.importers.load import Load
from bayeslat.traces.importers.staging import Stage
from bayeslat.traces.importers.vocabulary import VOCABULARY, Column

__all__ = ["Assembly"]


@dataclass(frozen=True, slots=True)
class Assembly:
    """How the rows of a stage become those of a trace.

    Attributes
    ----------
    stage : Stage
    groups : Groups
    constants : mapping of str to int, float or str
        Columns with one cell for all rows.
    load : Load
    runs : sequence of str
        The name of each run of the stage.
    filled : frozenset of str
        Columns of the stage that some usable row fills; the others are left out.
    """

    stage: Stage
    groups: Groups
    constants: Mapping[str, int | float | str]
    load: Load
    runs: Sequence[str]
    filled: frozenset[str]

    @property
    def told(self) -> frozenset[str]:
        """Columns that a usable row fills, that are counted over rows, or that name their run."""
        return self.filled | {"run", *self._load()}

    @property
    def schema(self) -> pa.Schema:
        """The columns: those of the vocabulary in its order, then others of the format."""
        types = {
            column.name: arrow_type(column)
            for column in self.stage.columns
            if column.name in self.filled
        }
        added = [name for name in ("gpu", "stack", "model") if getattr(self.groups, name)]
        types |= {name: arrow_type(VOCABULARY[name]) for name in ("run", *added, *self._load())}
        types |= {name: _type_of(name, value) for name, value in self.constants.items()}
        order = {name: place for place, name in enumerate(VOCABULARY)}
        names = sorted(types, key=lambda name: order.get(name, len(order)))
        return pa.schema([(name, types[name]) for name in names])

    def tables(self) -> Iterator[pa.Table]:
        """Give the rows of the trace, in order."""
        schema = self.schema
        for table, first in self.stage.tables():
            cells = {name: table[name] for name in table.column_names}
            self._add_groups(cells, table.num_rows)
            rows = slice(first, first + table.num_rows)
            for name, values in self._load().items():
                cells[name] = _measured(VOCABULARY[name], values[rows])
            cells["run"] = pa.array(self.runs).take(pa.array(self.stage.runs_of_rows()[rows]))
            for name, value in self.constants.items():
                cells[name] = pa.repeat(pa.scalar(value, _type_of(name, value)), table.num_rows)
            kept = pa.table({name: cells[name] for name in schema.names}, schema=schema)
            yield kept.filter(self._wanted(table))

    def other_models(self) -> int:
        """Return how many usable rows are of another model than the wanted one."""
        others = 0
        for table, _ in self.stage.tables():
            others += table[REFUSED].null_count - (pc.sum(self._wanted(table)).as_py() or 0)
        return others

    def _wanted(self, table: pa.Table) -> pa.ChunkedArray:
        """Return which rows the trace keeps, shape (row,)."""
        usable = table[REFUSED].is_null()
        if self.groups.only_model is None or "model" not in table.column_names:
            return usable
        alike = pc.fill_null(pc.equal(table["model"], self.groups.only_model), True)
        return pc.and_(usable, alike)

    def _add_groups(self, cells: dict[str, pa.ChunkedArray], n_rows: int) -> None:
        """Put in the GPU, stack and model that hold for rows that name none, or for all."""
        for name, overrides in (("gpu", True), ("stack", True), ("model", False)):
            value = getattr(self.groups, name)
            if value is None:
                continue
            if overrides or name not in cells:
                cells[name] = pa.repeat(pa.scalar(value), n_rows)
            else:
                cells[name] = cells[name].fill_null(value)

    def _load(self) -> dict[str, NDArray[np.float64]]:
        """Return the columns of the load that are known of some row."""
        known = {
            "arrived_s": self.load.arrived_s,
            "in_flight": self.load.in_flight,
            "in_flight_prompt_tokens": self.load.prompt_tokens,
        }
        return {name: values for name, values in known.items() if np.isfinite(values).any()}


def _measured(column: Column, values: NDArray[np.float64]) -> pa.Array:
    """Return numbers in the type of their column; NaN is missing."""
    missing = np.isnan(values)
    if column.kind == "count":
        return pa.array(np.where(missing, 0, values).astype(np.int64), mask=missing)
    return pa.array(values, mask=missing)


def _type_of(name: str, value: int | float | str) -> pa.DataType:
    """Return the type of a constant: that of its column, or its own."""
    if name in VOCABULARY:
        return arrow_type(VOCABULARY[name])
    if isinstance(value, str):
        return pa.string()
    return pa.int64() if isinstance(value, int) else pa.float64()
