"""Cells and rows of an importer's batch as an Arrow table, with what cannot be used left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from bayeslat.errors import TraceError
from bayeslat.traces.formats.content import refuse
from bayeslat.traces.importers.client import FASTEST_TOKEN_MS
from bayeslat.traces.importers.importer import Batch
from bayeslat.traces.importers.vocabulary import Column

__all__ = ["END", "REFUSED", "START", "TICK_MS", "Cleaner", "arrow_type"]

type BoolArray = NDArray[np.bool_]

REFUSED, START, END = "_refused", "_start_s", "_end_s"
_NO_LATENCY = "no latency that is finite and above 0 ms"
_AFTER_END = "its first token came after its end"
_BEFORE_START = "its first token came before it was sent"
_SLACK, _SLACK_MS = 1.001, 1.0  # clocks and rounding
_OF_TOKENS = ("t_ttft_ms", "t_tpot_ms")
TICK_MS = 0.001
"""In place of a wait of 0, which is shorter than a tick of its clock."""


@dataclass(slots=True)
class Cleaner:
    """Turns the batches of one file into tables, and remembers what its latencies are like.

    Attributes
    ----------
    columns : sequence of Column
    emptied : Counter of str
        For each latency column: cells that were left empty, since they are not finite and above 0.
    pieces : int
        Answers whose tokens came all at once: when the first one was made is not known.
    """

    columns: Sequence[Column]
    emptied: Counter[str] = field(default_factory=Counter)
    pieces: int = 0
    _seen: Counter[str] = field(default_factory=Counter)
    _odd: Counter[str] = field(default_factory=Counter)
    _example: dict[str, float] = field(default_factory=dict)

    def clean(self, batch: Batch) -> pa.Table:
        """Return the rows of a batch.

        Parameters
        ----------
        batch : Batch

        Returns
        -------
        Table
            Every declared column; and `_refused`, why a row cannot be used, `_start_s`, `_end_s`.
        """
        unknown = set(batch.columns) - {column.name for column in self.columns}
        if unknown:
            raise ValueError(f"an importer filled columns that it does not declare: {unknown}")
        usable = np.array([reason is None for reason in batch.refused or [None] * batch.n_rows])
        early = _comes_early(batch)
        usable &= ~early
        at_once = _come_at_once(batch)
        cells = {
            column.name: self._cells(batch, column, usable, at_once) for column in self.columns
        }
        self._take_apart(cells, usable, at_once, batch)
        cells[REFUSED] = self._refused(batch, cells, early)
        for name, times in ((START, batch.start_s), (END, batch.end_s)):
            cells[name] = pa.nulls(batch.n_rows, pa.float64()) if times is None else pa.array(times)
        return pa.table(cells)

    def check_units(self, file: object) -> None:
        """Refuse a file whose latencies are not of the unit that its format states.

        Raises
        ------
        TraceError
            More than half of the values of a latency are outside of what any machine takes.
        """
        for column in self.columns:
            odd, seen = self._odd[column.name], self._seen[column.name]
            if 2 * odd > seen:
                raise self._wrong_unit(file, column)

    def _cells(
        self, batch: Batch, column: Column, usable: BoolArray, at_once: BoolArray
    ) -> pa.Array:
        """Return a column of a batch in its type."""
        given = batch.columns.get(column.name)
        kind = arrow_type(column)
        if given is None:
            return pa.nulls(batch.n_rows, kind)
        if isinstance(given, str | int | float | np.generic):
            return pa.repeat(pa.scalar(given, kind), batch.n_rows)
        if column.kind == "count":
            return _counts(given)
        cells = pa.array(given, kind, from_pandas=True)
        return self._latencies(column, cells, usable, at_once) if column.is_latency else cells

    def _latencies(
        self, column: Column, cells: pa.Array, usable: BoolArray, at_once: BoolArray
    ) -> pa.Array:
        """Leave cells empty that are no latency, and count those, and those of an odd size."""
        values = cells.to_numpy(zero_copy_only=False)
        if column.may_be_nothing:
            values = np.where(values == 0.0, TICK_MS, values)
        stated = ~cells.is_null().to_numpy(zero_copy_only=False)
        good = np.isfinite(values) & (values > 0)
        self.emptied[column.name] += int(np.sum(stated & usable & ~good))
        low, high = column.usual or (0.0, np.inf)
        told = good & ~at_once if column.name in _OF_TOKENS else good
        odd = told & ((values < low) | (values > high))
        self._seen[column.name] += int(told.sum())
        self._odd[column.name] += int(odd.sum())
        if odd.any():
            self._example.setdefault(column.name, float(values[odd][0]))
        return pa.array(values, mask=~good)

    def _take_apart(
        self, cells: dict[str, pa.Array], usable: BoolArray, at_once: BoolArray, batch: Batch
    ) -> None:
        """Leave the times of single tokens empty where they came all at once, and count those."""
        if not at_once.any():
            return
        self.pieces += int(np.sum(at_once & usable))
        told = np.asarray(batch.columns["t_tpot_ms"], dtype=np.float64)
        self.emptied["t_tpot_ms"] -= int(np.sum((told == 0) & usable))  # counted as pieces
        for name in _OF_TOKENS:
            cells[name] = pc.if_else(pa.array(at_once), pa.scalar(None, pa.float64()), cells[name])

    def _refused(self, batch: Batch, cells: dict[str, pa.Array], early: BoolArray) -> pa.Array:
        """Return why rows cannot be used, null where they can."""
        given = batch.refused
        stated = (
            pa.nulls(batch.n_rows, pa.string()) if given is None else pa.array(given, pa.string())
        )
        bare = np.ones(batch.n_rows, dtype=bool)
        for column in self.columns:
            if column.is_latency:
                bare &= cells[column.name].is_null().to_numpy(zero_copy_only=False)
        reason = pc.if_else(pa.array(bare), _NO_LATENCY, pa.scalar(None, pa.string()))
        return pc.coalesce(stated, reason, _contradiction(cells, early))

    def _wrong_unit(self, file: object, column: Column) -> TraceError:
        low, high = column.usual or (0.0, np.inf)
        example = f"{self._example[column.name]:.3g} ms"
        return refuse(
            file,
            f"most of its values for {column.name} would be like {example}, and {low:g} to "
            f"{high:g} ms are possible: its times are not in the unit of this format; name a file "
            "as the tool wrote it",
        )


def _contradiction(cells: dict[str, pa.Array], early: BoolArray) -> pa.Array:
    """Return what is wrong with rows whose latencies contradict each other, null elsewhere."""
    first, end = cells.get("t_ttft_ms"), cells.get("t_e2e_ms")
    nothing = pa.scalar(None, pa.string())
    after = pa.nulls(len(early), pa.string())
    if first is not None and end is not None:
        latest = pc.add(pc.multiply(end, _SLACK), _SLACK_MS)
        after = pc.if_else(pc.fill_null(pc.greater(first, latest), False), _AFTER_END, nothing)
    return pc.if_else(pa.array(early), _BEFORE_START, after)


def _come_at_once(batch: Batch) -> BoolArray:
    """Tell of which answers all tokens came with the first one, as far as is told. Shape (row,)."""
    if not set(_OF_TOKENS) <= set(batch.columns):
        return np.zeros(batch.n_rows, dtype=bool)
    told = np.broadcast_to(
        np.asarray(batch.columns["t_tpot_ms"], dtype=np.float64), (batch.n_rows,)
    )
    return (told >= 0) & (told < FASTEST_TOKEN_MS)


def _comes_early(batch: Batch) -> BoolArray:
    """Tell which rows have their first token before they were sent, shape (row,)."""
    first = batch.columns.get("t_ttft_ms")
    if first is None:
        return np.zeros(batch.n_rows, dtype=bool)
    return np.asarray(first, dtype=np.float64) < 0


def arrow_type(column: Column) -> pa.DataType:
    """Return the type that a column is stored as."""
    return {"text": pa.string(), "count": pa.int64(), "number": pa.float64()}[column.kind]


def _counts(given: object) -> pa.Array:
    """Return whole numbers from 0 on; what is none, as NaN or a fraction, is missing."""
    cells = pa.array(given, from_pandas=True)
    if not pa.types.is_floating(cells.type):
        counts = cells.cast(pa.int64())
        return pc.if_else(pc.less(counts, 0), pa.scalar(None, pa.int64()), counts)
    values = cells.to_numpy(zero_copy_only=False)
    whole = np.isfinite(values) & (values == np.floor(values)) & (values >= 0) & (values < 2**53)
    return pa.array(np.where(whole, values, 0).astype(np.int64), mask=~whole)
