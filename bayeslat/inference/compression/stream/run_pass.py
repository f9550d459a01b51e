"""The pass: files to sums, a part at a time, on several processes and in constant memory."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from bayeslat.features.complete import default_values
from bayeslat.features.expressions import Expression
from bayeslat.features.hardware import HardwareTable
from bayeslat.features.program import Program, Registers
from bayeslat.inference.compression.stream.clean import LeftOut, clean
from bayeslat.inference.compression.stream.files import TraceFile, read_batches
from bayeslat.inference.compression.stream.labels import Label, Labeller
from bayeslat.inference.compression.stream.scan import explain
from bayeslat.inference.compression.stream.set_aside import SetAside, leave_gross_out
from bayeslat.inference.compression.stream.stage_pass import BrokenBatchError, Mark, StagePass
from bayeslat.inference.rows.settled import SettledPoint
from bayeslat.inference.rows.windows import Window
from bayeslat.parallel import run
from bayeslat.traces.names import TASK

__all__ = ["sum_files"]

_PART_ROWS = 1_000_000  # are summed apart, so that sums do not depend on who makes them
_TASK_ROWS = 4_000_000  # of a task at most: it compiles the expressions of every GPU once
_TASKS = 32  # at least, of a pass that has as many parts
_CHUNK_ROWS = 16_384  # of a group at a time: worth their calls, and few enough for the cache
_APART = 64  # numbers between rows: a power of two apart, they would fight for cache lines

type Array = NDArray[np.float64]


@dataclass(frozen=True)
class _Part:
    """Row groups of a file, one after the other."""

    file: TraceFile
    row_groups: tuple[int, ...]

    @property
    def rows(self) -> int:
        return sum(self.file.row_groups[at] for at in self.row_groups)


def sum_files(
    files: Sequence[TraceFile],
    window_of: Callable[[TraceFile], str],
    point: SettledPoint,
    hardware: HardwareTable,
    *,
    drop_invalid: bool = False,
    jobs: int = 1,
    engine_address: str | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> tuple[dict[str, Window], LeftOut, tuple[SetAside, ...]]:
    """Sum the rows of files up at a settled point, without gross errors.

    Parameters
    ----------
    files : sequence of TraceFile
        With rows of the point's groups only.
    window_of : callable
        Names a file's window.
    point : SettledPoint
    hardware : HardwareTable
    drop_invalid : bool
        Whether rows that break a rule are left out.
    jobs, engine_address
        As for `bayeslat.parallel.run`: of a cluster, every worker reads the files by their paths.
        The sums are the same to the last bit, whoever makes them.
    on_progress : callable (done, total), optional
        Told how many rows are done.

    Returns
    -------
    windows : dict of str to Window
    left_out : LeftOut
    set_aside : tuple of SetAside

    Raises
    ------
    TraceError
        With every row that breaks a rule, in the first row groups that hold any.
    WorkerError
        As for `bayeslat.parallel.run`.
    """
    parts = [part for file in files for part in _parts(file)]
    total = sum(part.rows for part in parts)
    windows: dict[str, Window] = {}
    gross: dict[str, Window] = {}
    broken: list[tuple[TraceFile, int]] = []
    left_out: list[LeftOut] = []
    done = 0
    tasks = list(_tasks(parts, min(_TASK_ROWS, total / _TASKS)))
    shared = (point, hardware, drop_invalid)
    found = run(_sum_parts, tasks, shared, jobs=jobs, engine_address=engine_address)
    for part, (sound, wrong, places, out) in zip(parts, chain.from_iterable(found), strict=True):
        broken += [(part.file, at) for at in places]
        left_out.append(out)
        name = window_of(part.file)
        windows[name] = windows[name] + sound if name in windows else sound
        gross[name] = gross[name] + wrong if name in gross else wrong
        done += part.rows
        if on_progress is not None:
            on_progress(done, total)
    if broken:
        raise explain(broken, point.spec, hardware)
    windows, set_aside = leave_gross_out(windows, gross, point.groups)
    return windows, LeftOut.together(left_out), set_aside


def _parts(file: TraceFile) -> Iterator[_Part]:
    """Cut a file into parts of some million rows."""
    taken: list[int] = []
    rows = 0
    for at, count in enumerate(file.row_groups):
        taken.append(at)
        rows += count
        if rows >= _PART_ROWS or at == len(file.row_groups) - 1:
            yield _Part(file, tuple(taken))
            taken, rows = [], 0


def _tasks(parts: Sequence[_Part], rows: float) -> Iterator[list[_Part]]:
    """Put parts together until they have so many rows."""
    taken: list[_Part] = []
    for part in parts:
        taken.append(part)
        if sum(each.rows for each in taken) >= rows:
            yield taken
            taken = []
    if taken:
        yield taken


def _sum_parts(
    shared: tuple[SettledPoint, HardwareTable, bool], parts: Sequence[_Part]
) -> list[tuple[Window, Window, list[int], LeftOut]]:
    """Sum each part up, and its gross errors; with the row groups that hold broken rows."""
    point, hardware, drop_invalid = shared
    adder = _Adder(point, hardware)

    def sum_batch(file: TraceFile, first: int, batch: pa.RecordBatch) -> LeftOut:
        if not drop_invalid:
            adder.add(batch)
            return LeftOut()
        mark = adder.mark()
        try:
            adder.add(batch)
        except BrokenBatchError:
            adder.go_back(mark)
            kept, left_out = clean(file, first, batch, point.spec, hardware)
            adder.add(kept)
            return left_out
        return LeftOut()

    def sum_part(part: _Part) -> tuple[Window, Window, list[int], LeftOut]:
        broken, left_out = [], []
        for row_group in part.row_groups:
            try:
                for first, batch in read_batches(part.file, [row_group]):
                    left_out.append(sum_batch(part.file, first, batch))
            except BrokenBatchError:
                broken.append(row_group)
        out = LeftOut.together(left_out)
        return *adder.take_windows(part.rows - out.rows), broken, out

    return [sum_part(part) for part in parts]


class _Adder:
    """Adds batches to the sums of every stage."""

    def __init__(self, point: SettledPoint, hardware: HardwareTable) -> None:
        gpu_of = [point.gpus.index(gpu) for gpu, _ in point.groups]
        self._spec = point.spec
        self._fields = [point.hardware[gpu].fields() for gpu, _ in point.groups]
        self._at = {group: at for at, group in enumerate(point.groups)}
        self._labeller = Labeller(point.spec, hardware)
        self._registers = Registers(_CHUNK_ROWS)
        self._programs: dict[tuple[int, str | None, tuple[str, ...]], Program] = {}
        self._passes = {
            stage: StagePass(point.spec.stages[stage], part, gpu_of)
            for stage, part in point.stages.items()
        }
        height = max(each.height for each in self._passes.values())
        self._space = np.empty((height, _CHUNK_ROWS + _APART))

    def add(self, batch: pa.RecordBatch) -> None:
        """Take a batch of rows of any groups."""
        if not batch.num_rows:
            return
        labels = self._labeller.read(batch)
        if any((label.gpu, label.stack) not in self._at for label in labels.held):
            raise BrokenBatchError
        columns = self._columns(batch)
        if len(labels.held) == 1:
            self._add_label(labels.held[0], columns, batch.num_rows)
            return
        order = np.argsort(labels.code, kind="stable")
        edges = np.cumsum([0, *np.bincount(labels.code, minlength=len(labels.held))])
        # A whole column at a time, which stays in the cache while its rows are picked.
        columns = {name: column.take(order) for name, column in columns.items()}
        for label, start, end in zip(labels.held, edges, edges[1:], strict=False):
            own = {name: column[start:end] for name, column in columns.items()}
            self._add_label(label, own, end - start)

    def mark(self) -> list[Mark]:
        """Return where the sums are, for `go_back`."""
        return [each.mark() for each in self._passes.values()]

    def go_back(self, marks: Sequence[Mark]) -> None:
        """Forget the rows since a mark."""
        for each, mark in zip(self._passes.values(), marks, strict=True):
            each.go_back(mark)

    def take_windows(self, rows: int) -> tuple[Window, Window]:
        """Return the sums so far, and those of gross errors; start again from zero."""
        sums = {stage: each.take_sums() for stage, each in self._passes.items()}
        sound = {stage: of_stage for stage, (of_stage, _) in sums.items()}
        return Window(rows, sound), Window(0, {stage: gross for stage, (_, gross) in sums.items()})

    def _columns(self, batch: pa.RecordBatch) -> dict[str, NDArray[np.generic]]:
        """Return the knobs and latencies of a batch, in the types that they are stored in."""
        wanted = [*self._spec.knobs, *self._spec.latency_columns]
        found = {}
        for name in wanted:
            if name in batch.schema.names:
                column = batch.column(name)
                kind = column.type
                if pa.types.is_decimal(kind):
                    column, kind = column.cast(pa.float64()), pa.float64()
                if not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
                    if column.null_count < len(column):
                        raise BrokenBatchError
                    column = column.cast(pa.float64())
                found[name] = column.to_numpy(zero_copy_only=False)
        return self._with_defaults(found, batch.num_rows)

    def _with_defaults(
        self, columns: dict[str, NDArray[np.generic]], count: int
    ) -> dict[str, NDArray[np.generic]]:
        """Fill in knobs whose defaults follow from others; those with a number are left out."""
        defaults = self._spec.defaults
        following = {
            knob: default for knob, default in defaults.items() if isinstance(default, Expression)
        }
        named = {name for default in following.values() for name in default.names}
        known: dict[str, Any] = {**self._spec.architecture, **columns}
        for knob in (each for each in defaults if each in following or each in named):
            column = columns.get(knob)
            empty = None if column is None else np.isnan(column.astype(np.float64))
            if empty is not None and not empty.any():
                continue
            values = default_values(defaults[knob], known)
            if values is None:
                continue
            known[knob] = values if empty is None else np.where(empty, values, columns[knob])
            if knob in following:
                columns[knob] = np.broadcast_to(known[knob], (count,))
        return columns

    def _add_label(
        self, label: Label, columns: Mapping[str, NDArray[np.generic]], count: int
    ) -> None:
        """Take rows of one label, in chunks that stay in the cache."""
        group = self._at[label.gpu or "", label.stack]
        program = self._program(group, label, columns)
        chunks = -(-count // _CHUNK_ROWS)
        for at in range(chunks):  # of equal sizes
            rows = slice(at * count // chunks, (at + 1) * count // chunks)
            space = self._space[:, : rows.stop - rows.start]
            knobs = {
                knob: self._knob(knob, columns[knob][rows])
                for knob in self._spec.knobs
                if knob in columns
            }
            values = program.run(knobs, rows.stop - rows.start)
            for (stage, each), found in zip(self._passes.items(), values, strict=True):
                column = self._spec.stages[stage].column
                if column in columns:
                    latency = np.array(columns[column][rows], dtype=np.float64)
                    each.add(group, found, latency, label.task, space)

    def _program(self, group: int, label: Label, columns: Container[str]) -> Program:
        """Compile the expressions for a group and task, once."""
        absent = tuple(knob for knob in self._spec.knobs if knob not in columns)
        key = (group, label.task if self._spec.uses_task else None, absent)
        if key not in self._programs:
            constants: dict[str, float | str] = {**self._fields[group]}
            for knob in absent:
                default = self._spec.defaults.get(knob)
                if default is None or isinstance(default, Expression):
                    raise BrokenBatchError
                constants[knob] = default
            if self._spec.uses_task:
                if label.task is None:
                    raise BrokenBatchError
                constants[TASK] = label.task
            parts = [each.expressions for each in self._passes.values()]
            self._programs[key] = Program(self._spec, parts, constants, self._registers)
        return self._programs[key]

    def _knob(self, knob: str, column: NDArray[np.generic]) -> Array:
        """Values of a knob, with the spec's default where a row says nothing of it."""
        values = np.array(column, dtype=np.float64)
        if column.dtype.kind in "iu":
            return values
        if not (values.min() > -np.inf and values.max() < np.inf):
            default = self._spec.defaults.get(knob)
            if not isinstance(default, float) or np.isinf(values).any():
                raise BrokenBatchError
            values[np.isnan(values)] = default
        return values
