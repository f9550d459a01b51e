"""The rows of a row group by group and stage: how many there are, and the chosen ones of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from bayeslat.features.hardware import HardwareTable
from bayeslat.features.spec import Spec
from bayeslat.inference.compression.stream.files import TraceFile, labels_of, read_batches, to_frame
from bayeslat.inference.compression.stream.labels import Labeller, Labels
from bayeslat.inference.compression.stream.scan import Group

__all__ = ["GroupStage", "Place", "TraceFiles", "count_rows", "take_rows"]

type GroupStage = tuple[Group, str]
"""The rows of a group that hold a latency of a stage; of any stage, where that is empty."""

type Place = tuple[int, int]
"""File, by its position, and row group."""

type TraceFiles = tuple[Sequence[TraceFile], Spec, HardwareTable]
"""Files, and what their rows are read by."""


def count_rows(source: TraceFiles, place: Place) -> Counter[GroupStage]:
    """Count the rows of a row group.

    Parameters
    ----------
    source : TraceFiles
    place : Place

    Returns
    -------
    Counter of GroupStage
    """
    files, spec, _ = source
    few = {*labels_of(spec), *spec.latency_columns}
    names = [name for name in files[place[0]].columns if name in few]
    count: Counter[GroupStage] = Counter()
    for _, _, rows in _read(source, place, names):
        count.update({key: len(at) for key, at in rows.items()})
    return count


def take_rows(
    source: TraceFiles, task: tuple[Place, Mapping[GroupStage, NDArray[np.int64]]]
) -> tuple[pd.DataFrame, Counter[GroupStage]]:
    """Take the chosen rows of a row group, and count them.

    Parameters
    ----------
    source : TraceFiles
    task : (Place, mapping of GroupStage to ndarray of int)
        Which rows of each, counted from the first there.

    Returns
    -------
    frame : DataFrame, one row a measurement
        Its index goes on from file to file.
    taken : Counter of GroupStage
    """
    place, ranks = task
    seen: Counter[GroupStage] = Counter()
    taken: Counter[GroupStage] = Counter()
    kept = []
    for first, batch, rows in _read(source, place):
        take = np.zeros(batch.num_rows, dtype=bool)
        for key, at in rows.items():
            wanted = ranks.get(key, np.zeros(0, dtype=np.int64)) - seen[key]
            take[at[wanted[(wanted >= 0) & (wanted < len(at))]]] = True
            seen[key] += len(at)
        taken.update({key: int(take[at].sum()) for key, at in rows.items()})
        kept.append(to_frame(source[0][place[0]], first, batch.filter(pa.array(take))))
        kept[-1].index = first + np.flatnonzero(take)
    start = sum(file.rows for file in source[0][: place[0]])
    frame = pd.concat(kept)
    return frame.set_index(frame.index + start), taken


def _read(
    source: TraceFiles, place: Place, columns: Sequence[str] | None = None
) -> Iterator[tuple[int, pa.RecordBatch, dict[GroupStage, NDArray[np.int64]]]]:
    """Read a row group batch by batch.

    Yields
    ------
    first : int
        Position of the batch's first row in the file.
    batch : RecordBatch
    rows : mapping of GroupStage to ndarray of int
        Their places in the batch.
    """
    files, spec, hardware = source
    file, row_group = files[place[0]], place[1]
    labeller = Labeller(spec, hardware)
    stages = {stage: part.column for stage, part in spec.stages.items()}
    stages = {stage: column for stage, column in stages.items() if column in file.columns}
    for first, batch in read_batches(file, [row_group], columns):
        labels = labeller.read(batch)
        held = {stage: _held(batch.column(column)) for stage, column in stages.items()}
        # A file without any latency is refused later, by its rows.
        held[""] = np.any(list(held.values()) or [np.ones(batch.num_rows, dtype=bool)], axis=0)
        rows: dict[GroupStage, NDArray[np.int64]] = {}
        for group, at in _by_group(labels).items():
            rows |= {(group, stage): at[mask[at]] for stage, mask in held.items()}
        yield first, batch, rows


def _by_group(labels: Labels) -> dict[Group, NDArray[np.int64]]:
    """Rows of each group, in order; those of unknown GPUs belong to none."""
    groups = [(label.gpu or "", label.stack) for label in labels.held]
    names = list(dict.fromkeys(groups))
    code = np.array([names.index(group) for group in groups], dtype=np.int16)[labels.code]
    order = np.argsort(code, kind="stable")
    parts = np.split(order, np.cumsum(np.bincount(code, minlength=len(names)))[:-1])
    return {name: rows for name, rows in zip(names, parts, strict=True) if name[0]}


def _held(latency: pa.Array) -> NDArray[np.bool_]:
    """Whether each row has a latency, right or wrong. Shape (row,)."""
    held: NDArray[np.bool_] = latency.is_valid().to_numpy(zero_copy_only=False)
    if pa.types.is_floating(latency.type):
        held = held & ~np.isnan(latency.to_numpy(zero_copy_only=False))
    return held
