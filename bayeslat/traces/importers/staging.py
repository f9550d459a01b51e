"""Rows on disk between reading and writing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from bayeslat.traces.importers.clean import END, REFUSED, START, arrow_type
from bayeslat.traces.importers.load import Load, count_load
from bayeslat.traces.importers.vocabulary import Column

__all__ = ["Stage"]

type Write = Callable[[pa.Table, int, str], None]


@dataclass(slots=True)
class Stage:
    """A file of rows as they were read, and of what the load is counted from.

    Attributes
    ----------
    path : Path
    columns : sequence of Column
    n_rows : int
    runs : list of (int, str)
        The file and section of each run, in the order in which they were first met.
    """

    path: Path
    columns: Sequence[Column]
    n_rows: int = 0
    runs: list[tuple[int, str]] = field(default_factory=list)
    _run_of: list[NDArray[np.int64]] = field(default_factory=list)
    _times: list[NDArray[np.float64]] = field(default_factory=list)

    @contextmanager
    def writing(self) -> Iterator[Write]:
        """Give the function that adds rows of a file's section."""
        fields = [(column.name, arrow_type(column)) for column in self.columns]
        schema = pa.schema(
            [*fields, (REFUSED, pa.string()), (START, pa.float64()), (END, pa.float64())]
        )
        options = pa.ipc.IpcWriteOptions(compression="lz4")
        with (
            pa.OSFile(str(self.path), "wb") as sink,
            pa.ipc.new_file(sink, schema, options=options) as writer,
        ):

            def write(table: pa.Table, file: int, section: str) -> None:
                writer.write_table(table.select(schema.names).cast(schema))
                self._remember(table, (file, section))

            yield write

    def tables(self) -> Iterator[tuple[pa.Table, int]]:
        """Give the rows as they were added, with the position of each table's first."""
        first = 0
        with pa.memory_map(str(self.path)) as source:
            reader = pa.ipc.open_file(source)
            for number in range(reader.num_record_batches):
                table = pa.Table.from_batches([reader.get_batch(number)])
                yield table, first
                first += table.num_rows

    def runs_of_rows(self) -> NDArray[np.int64]:
        """Return the run of each row, by its position in `runs`, shape (row,)."""
        if len(self._run_of) > 1:
            self._run_of = [np.concatenate(self._run_of)]
        return self._run_of[0] if self._run_of else np.empty(0, dtype=np.int64)

    def load(self) -> Load:
        """Return what each request met, shape (row,)."""
        times = np.concatenate(self._times, axis=1) if self._times else np.empty((3, 0))
        runs = self.runs_of_rows()
        found = np.full((3, self.n_rows), np.nan)
        for run in range(len(self.runs)):
            own = np.flatnonzero(runs == run)
            load = count_load(*times[:, own])
            found[:, own] = load.arrived_s, load.in_flight, load.prompt_tokens
        return Load(*found)

    def _remember(self, table: pa.Table, run: tuple[int, str]) -> None:
        """Keep in memory what the load is counted from: 32 bytes a row."""
        if run not in self.runs:
            self.runs.append(run)
        number = self.runs.index(run)
        tokens = "prompt_tokens" in table.column_names
        columns = [
            table[START],
            table[END],
            table["prompt_tokens"].cast(pa.float64()) if tokens else table[START],
        ]
        times = np.stack([column.to_numpy() for column in columns])
        if not tokens:
            times[2] = np.nan
        self._times.append(times)
        self._run_of.append(np.full(table.num_rows, number))
        self.n_rows += table.num_rows
