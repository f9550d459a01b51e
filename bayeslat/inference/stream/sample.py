"""A bounded sample of the rows of every group, evenly from its files and row groups."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayeslat.errors import TraceError
from bayeslat.features.admit import find_violations
from bayeslat.features.hardware import HardwareTable
from bayeslat.features.spec import Spec
from bayeslat.features.thinning import evenly
from bayeslat.inference.stream.files import TraceFile, measured, read_batches, to_frame
from bayeslat.inference.stream.labels import Labeller
from bayeslat.inference.stream.scan import Group, Scan
from bayeslat.traces import drop_invalid as split_rows
from bayeslat.traces import report

__all__ = ["SAMPLE_ROWS", "take_sample"]

SAMPLE_ROWS = 2000
"""Of a group: as many as count, and few enough for a fit of seconds."""

_ROW_GROUPS = 16  # that a group's sample is taken from, if these hold enough of its rows

type Places = dict[tuple[int, int], dict[Group, NDArray[np.int64]]]
"""By file and row group: which of each group's rows there, counted from the first."""


def take_sample(
    files: Sequence[TraceFile],
    scan: Scan,
    spec: Spec,
    hardware: HardwareTable,
    most: int = SAMPLE_ROWS,
    *,
    drop_invalid: bool = False,
) -> pd.DataFrame:
    """Take at most so many rows of each group; all of a group that has no more.

    Parameters
    ----------
    files : sequence of TraceFile
    scan : Scan
        Of these files.
    spec : Spec
    hardware : HardwareTable
    most : int
        Rows of a group.
    drop_invalid : bool
        Whether rows that break a rule are left out.

    Returns
    -------
    DataFrame, one row a measurement
        In the order of files and rows.

    Raises
    ------
    TraceError
        With every rule that the sample breaks, by file and row.
    """
    labeller = Labeller(spec, hardware)
    starts = np.cumsum([0, *(file.rows for file in files)])
    kept = []
    for (number, row_group), wanted in sorted(_choose(scan, most).items()):
        for piece in _rows_at(files[number], row_group, wanted, labeller):
            held = measured(piece, spec)
            kept.append(held.set_index(held.index + starts[number]))
    frame = pd.concat(kept)
    frame["repeat"] = np.arange(len(frame))
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
    found = find_violations(frame, spec, hardware)
    if drop_invalid:
        return split_rows(frame, found)[0]
    if found:
        few = f"\nOnly a sample of {len(frame)} rows was looked at so far."
        raise TraceError(report(found) + (few if len(frame) < starts[-1] else ""), found)
    return frame


def _choose(scan: Scan, most: int) -> Places:
    """Choose rows evenly, from few enough row groups that not all of a file has to be read."""
    places: Places = {}
    for group in scan.totals:
        held = [(place, counts[group]) for place, counts in scan.counts.items() if counts[group]]
        for place, ranks in _spread(held, most).items():
            places.setdefault(place, {})[group] = ranks
    return places


def _spread(
    held: Sequence[tuple[tuple[int, int], int]], most: int
) -> Mapping[tuple[int, int], NDArray[np.int64]]:
    """Choose a group's rows: which of those in each row group."""
    total = sum(count for _, count in held)
    few, chosen = _ROW_GROUPS, list(held)
    while few < len(held) and total > most:
        chosen = [held[at] for at in evenly(len(held), few)]
        if sum(count for _, count in chosen) >= most:
            break
        few, chosen = 2 * few, list(held)
    edges = np.cumsum([0, *(count for _, count in chosen)])
    kept = evenly(int(edges[-1]), most)
    home = np.searchsorted(edges, kept, side="right") - 1
    return {
        place: kept[home == number] - edges[number]
        for number, (place, _) in enumerate(chosen)
        if np.any(home == number)
    }


def _rows_at(
    file: TraceFile,
    row_group: int,
    wanted: Mapping[Group, NDArray[np.int64]],
    labeller: Labeller,
) -> Iterator[pd.DataFrame]:
    """Read the chosen rows of one row group."""
    seen = dict.fromkeys(wanted, 0)
    for first, batch in read_batches(file, [row_group]):
        labels = labeller.read(batch)
        take = np.zeros(batch.num_rows, dtype=bool)
        for group, ranks in wanted.items():
            places = [at for at, each in enumerate(labels.held) if (each.gpu, each.stack) == group]
            rows = np.flatnonzero(np.isin(labels.code, places))
            here = ranks[(ranks >= seen[group]) & (ranks < seen[group] + len(rows))] - seen[group]
            take[rows[here]] = True
            seen[group] += len(rows)
        if take.any():
            yield to_frame(file, first, batch)[take]
