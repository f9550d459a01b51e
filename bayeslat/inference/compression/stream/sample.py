"""A bounded sample of the rows of every group, evenly from its files and row groups."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayeslat.errors import TraceError
from bayeslat.features.admit import find_violations
from bayeslat.features.hardware import HardwareTable
from bayeslat.features.spec import Spec
from bayeslat.features.thinning import evenly
from bayeslat.inference.compression.stream.files import TraceFile
from bayeslat.inference.compression.stream.row_group import GroupStage, Place, count_rows, take_rows
from bayeslat.inference.compression.stream.scan import Group, Scan
from bayeslat.parallel import run
from bayeslat.traces import drop_invalid as split_rows
from bayeslat.traces import report
from bayeslat.traces.trace_record import TraceRecord

__all__ = ["SAMPLE_ROWS", "Sample", "take_sample"]

SAMPLE_ROWS = 2000
"""Of a group: as many as count, and few enough for a fit of seconds."""

_RARE = 0.5  # of a group's rows: a stage that fewer hold has a sample of its own
_ROW_GROUPS = 16  # that a sample is taken from, if these hold enough rows
_MANY_ROWS = 2_000_000  # fewer are read before other processes have started


@dataclass(frozen=True)
class Sample:
    """Rows of every group, for every stage.

    Attributes
    ----------
    frame : DataFrame, one row a measurement
        In the order of files and rows.
    stands_for : mapping of GroupStage to float
        How many rows, of all that there are, one of the sample stands for.
    """

    frame: pd.DataFrame
    stands_for: Mapping[GroupStage, float]


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
        Rows of a group, and of those of it that hold a rare stage.
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
    source, totals = (files, spec, hardware), scan.totals
    places = {group: _places(files, scan, group, rows, most) for group, rows in totals.items()}
    every = sorted({place for chosen in places.values() for place in chosen})
    fan_out = partial(
        run,
        shared=source,
        jobs=jobs,
        engine_address=engine_address,
        worthwhile=sum(files[at].row_groups[row_group] for at, row_group in every) >= _MANY_ROWS,
    )
    counts = dict(zip(every, fan_out(count_rows, every), strict=True))
    held = _in_all(places, counts)
    taken = list(fan_out(take_rows, list(_choose(places, counts, held, most).items())))
    frame = _join([piece for piece, _ in taken], files)
    found = find_violations(frame, spec, hardware)
    if drop_invalid:
        frame = split_rows(frame, found)[0]
    elif found:
        looked_at, rows = len(frame), sum(file.rows for file in files)
        few = f"\nOnly a sample of {looked_at} rows was looked at so far."
        raise TraceError(report(found) + (few if looked_at < rows else ""), found)
    sampled: Counter[GroupStage] = sum((number for _, number in taken), Counter())
    return Sample(frame, {key: held[key] / number for key, number in sampled.items()})


def _places(
    files: Sequence[TraceFile], scan: Scan, group: Group, total: int, most: int
) -> dict[Place, float]:
    """Choose where a group's rows are taken from, and how many of them a row there stands for.

    Few row groups, so that not all is read, of each kind: those that hold other stages, as a
    server's requests beside its steps, are another.
    """
    rows = {place: counts[group] for place, counts in scan.counts.items() if counts[group]}
    if total <= most:
        return dict.fromkeys(rows, 1.0)
    alike: dict[frozenset[str], list[Place]] = {}
    for file, row_group in rows:
        alike.setdefault(files[file].latencies[row_group], []).append((file, row_group))
    chosen: dict[Place, float] = {}
    for held in alike.values():
        few = _ROW_GROUPS
        while few < len(held) and sum(rows[held[at]] for at in evenly(len(held), few)) < most:
            few *= 2
        kept = [held[at] for at in evenly(len(held), few)]
        times = sum(rows[place] for place in held) / sum(rows[place] for place in kept)
        chosen |= dict.fromkeys(kept, times)
    return dict(sorted(chosen.items()))


def _in_all(
    places: Mapping[Group, Mapping[Place, float]], counts: Mapping[Place, Counter[GroupStage]]
) -> dict[GroupStage, float]:
    """Tell how many rows there are of each group and stage, read or not."""
    held: dict[GroupStage, float] = {}
    for place, count in counts.items():
        for (group, stage), number in count.items():
            # Row groups that are read for another group alone do not count.
            times = places[group].get(place, 0.0)
            held[group, stage] = held.get((group, stage), 0.0) + times * number
    return held


def _choose(
    places: Mapping[Group, Mapping[Place, float]],
    counts: Mapping[Place, Counter[GroupStage]],
    held: Mapping[GroupStage, float],
    most: int,
) -> dict[Place, dict[GroupStage, NDArray[np.int64]]]:
    """Choose rows of each group and rare stage evenly: which of those at each place."""
    chosen: dict[Place, dict[GroupStage, NDArray[np.int64]]] = {place: {} for place in counts}
    for (group, stage), number in held.items():
        if stage and number >= _RARE * held[group, ""]:
            continue
        edges = np.cumsum([0, *(counts[place][group, stage] for place in places[group])])
        kept = evenly(int(edges[-1]), most)
        for place, start, end in zip(places[group], edges, edges[1:], strict=False):
            if len(ranks := kept[(kept >= start) & (kept < end)] - start):
                chosen[place][group, stage] = ranks
    return chosen


def _join(pieces: Sequence[pd.DataFrame], files: Sequence[TraceFile]) -> pd.DataFrame:
    """Join the rows of all places to a trace that knows where they are from."""
    frame = pd.concat(pieces)
    frame["repeat"] = np.arange(len(frame))
    starts = np.cumsum([0, *(file.rows for file in files)])
    frame.attrs["bayeslat"] = TraceRecord(
        sources=[
            [str(file.path), int(start), file.rows]
            for file, start in zip(files, starts, strict=False)
        ],
        provenance=[
            file.provenance and file.provenance.model_dump(mode="json", by_alias=True)
            for file in files
        ],
    )
    return frame
