"""A bounded sample of the rows of every group, evenly from its files and row groups."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from bayeslat.errors import TraceError
from bayeslat.features.admit import find_violations
from bayeslat.features.hardware import HardwareTable
from bayeslat.features.spec import Spec
from bayeslat.features.thinning import evenly
from bayeslat.inference.stream.files import TraceFile, labels_of, read_batches, to_frame
from bayeslat.inference.stream.labels import Labeller, Labels
from bayeslat.inference.stream.scan import Group, Scan
from bayeslat.parallel import run
from bayeslat.traces import drop_invalid as split_rows
from bayeslat.traces import report

__all__ = ["SAMPLE_ROWS", "Sample", "Share", "take_sample"]

SAMPLE_ROWS = 2000
"""Of a group: as many as count, and few enough for a fit of seconds."""

_SELDOM = 0.5  # of a group's rows: a stage that fewer hold has a sample of its own
_ROW_GROUPS = 16  # that a group's sample is taken from, if these hold enough of its rows
_MANY_ROWS = 2_000_000  # fewer are read before other processes have started

type Share = tuple[Group, str]
"""A group and a stage: its rows that hold a latency of the stage; of any, where it is empty."""

type _Place = tuple[int, int]  # file and row group
type _Source = tuple[Sequence[TraceFile], Spec, HardwareTable]


@dataclass(frozen=True)
class Sample:
    """Rows of every group, for every stage.

    Attributes
    ----------
    frame : DataFrame, one row a measurement
        In the order of files and rows.
    stands_for : mapping of Share to float
        How many rows, of all that there are, one of the sample stands for.
    """

    frame: pd.DataFrame
    stands_for: Mapping[Share, float]


def take_sample(
    files: Sequence[TraceFile],
    scan: Scan,
    spec: Spec,
    hardware: HardwareTable,
    most: int = SAMPLE_ROWS,
    *,
    drop_invalid: bool = False,
    jobs: int = 1,
    engine_address: str | None = None,
) -> Sample:
    """Take at most so many rows of each group; all where there are no more.

    And as many again for a stage that few of them hold, as a server's requests among its steps.

    Parameters
    ----------
    files : sequence of TraceFile
    scan : Scan
        Of these files.
    spec : Spec
    hardware : HardwareTable
    most : int
        Rows of a group, and of those that hold a seldom stage.
    drop_invalid : bool
        Whether rows that break a rule are left out.
    jobs, engine_address
        Who shares the row groups, as for `bayeslat.parallel.run`; few rows are read here.

    Returns
    -------
    Sample

    Raises
    ------
    TraceError
        With every rule that the sample breaks, by file and row.
    """
    places = {group: _places(scan, group, most) for group in scan.totals}
    every = sorted({place for held in places.values() for place in held})
    rows = sum(files[number].row_groups[row_group] for number, row_group in every)
    fan_out = partial(
        run,
        shared=(files, spec, hardware),
        jobs=jobs,
        engine_address=engine_address,
        worthwhile=rows >= _MANY_ROWS,
    )
    counts = dict(zip(every, fan_out(_count, every), strict=True))
    taken = list(fan_out(_take, list(_choose(places, counts, most).items())))
    frame = _join([piece for piece, _ in taken], files)
    found = find_violations(frame, spec, hardware)
    if drop_invalid:
        frame = split_rows(frame, found)[0]
    elif found:
        looked_at, rows = len(frame), sum(file.rows for file in files)
        few = f"\nOnly a sample of {looked_at} rows was looked at so far."
        raise TraceError(report(found) + (few if looked_at < rows else ""), found)
    held: Counter[Share] = sum(counts.values(), Counter())
    sampled: Counter[Share] = sum((number for _, number in taken), Counter())
    read = {group: sum(scan.counts[place][group] for place in at) for group, at in places.items()}
    stands_for = {
        (group, stage): held[group, stage] / number * scan.totals[group] / read[group]
        for (group, stage), number in sampled.items()
    }
    return Sample(frame, stands_for)


def _places(scan: Scan, group: Group, most: int) -> list[_Place]:
    """Choose where a group's rows are taken from: few row groups, that not all is read."""
    held = [place for place, counts in scan.counts.items() if counts[group]]
    few = _ROW_GROUPS
    while few < len(held) and scan.totals[group] > most:
        chosen = [held[at] for at in evenly(len(held), few)]
        if sum(scan.counts[place][group] for place in chosen) >= most:
            return chosen
        few *= 2
    return held


def _choose(
    places: Mapping[Group, Sequence[_Place]], counts: Mapping[_Place, Counter[Share]], most: int
) -> dict[_Place, dict[Share, NDArray[np.int64]]]:
    """Choose rows of each share evenly: which of those at each place, counted from the first."""
    chosen: dict[_Place, dict[Share, NDArray[np.int64]]] = {place: {} for place in counts}
    held: Counter[Share] = sum(counts.values(), Counter())
    for (group, stage), number in held.items():
        if stage and number >= _SELDOM * held[group, ""]:
            continue
        kept = evenly(number, most)
        edges = np.cumsum([0, *(counts[place][group, stage] for place in places[group])])
        for place, start, end in zip(places[group], edges, edges[1:], strict=False):
            if len(ranks := kept[(kept >= start) & (kept < end)] - start):
                chosen[place][group, stage] = ranks
    return chosen


def _count(source: _Source, place: _Place) -> Counter[Share]:
    """Count the rows of each share in a row group."""
    files, spec, _ = source
    few = {*labels_of(spec), *(stage.column for stage in spec.stages.values())}
    names = [name for name in files[place[0]].columns if name in few]
    count: Counter[Share] = Counter()
    for _, _, rows in _read(source, place, names):
        count.update({share: len(at) for share, at in rows.items()})
    return count


def _take(
    source: _Source, task: tuple[_Place, Mapping[Share, NDArray[np.int64]]]
) -> tuple[pd.DataFrame, Counter[Share]]:
    """Take the chosen rows of a row group, and count those of each share among them."""
    place, ranks = task
    seen: Counter[Share] = Counter()
    count: Counter[Share] = Counter()
    kept = []
    for first, batch, rows in _read(source, place):
        take = np.zeros(batch.num_rows, dtype=bool)
        for share, at in rows.items():
            wanted = ranks.get(share, np.zeros(0, dtype=np.int64)) - seen[share]
            take[at[wanted[(wanted >= 0) & (wanted < len(at))]]] = True
            seen[share] += len(at)
        count.update({share: int(take[at].sum()) for share, at in rows.items()})
        kept.append(to_frame(source[0][place[0]], first, batch.filter(pa.array(take))))
        kept[-1].index = first + np.flatnonzero(take)
    start = sum(file.rows for file in source[0][: place[0]])
    frame = pd.concat(kept)
    return frame.set_index(frame.index + start), count


def _read(
    source: _Source, place: _Place, columns: Sequence[str] | None = None
) -> Iterator[tuple[int, pa.RecordBatch, dict[Share, NDArray[np.int64]]]]:
    """Read a row group batch by batch: position of the first row, rows, those of each share."""
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
        rows: dict[Share, NDArray[np.int64]] = {}
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


def _join(pieces: Sequence[pd.DataFrame], files: Sequence[TraceFile]) -> pd.DataFrame:
    """Join the rows of all places to a trace that knows where they are from."""
    frame = pd.concat(pieces)
    frame["repeat"] = np.arange(len(frame))
    starts = np.cumsum([0, *(file.rows for file in files)])
    frame.attrs["bayeslat"] = {
        "sources": [
            [str(file.path), int(start), file.rows]
            for file, start in zip(files, starts, strict=False)
        ],
        "provenance": [
            file.provenance and file.provenance.model_dump(mode="json", by_alias=True)
            for file in files
        ],
    }
    return frame
