"""How many rows of which group each row group holds: a look at the labels alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bayeslat.errors import TraceError
from bayeslat.features.admit import find_violations
from bayeslat.features.hardware import HardwareTable
from bayeslat.features.spec import Spec
from bayeslat.inference.compression.stream.clean import merge_violations
from bayeslat.inference.compression.stream.files import (
    TraceFile,
    labels_of,
    measured,
    read_batches,
    to_frame,
)
from bayeslat.inference.compression.stream.labels import Label, Labeller
from bayeslat.parallel import run
from bayeslat.traces import Violation, report

__all__ = ["Group", "Scan", "explain", "scan_files"]

type Group = tuple[str, str]
"""GPU and stack."""

_MANY_ROWS = 20_000_000  # fewer are counted before other processes have started
_EXPLAINED = 20  # row groups with broken rows that are looked at closely


@dataclass(frozen=True)
class Scan:
    """Rows of each group in each row group.

    Attributes
    ----------
    counts : mapping of (file, row group) to mapping of Group to int
        By position of the file.
    """

    counts: Mapping[tuple[int, int], Mapping[Group, int]]

    @property
    def totals(self) -> dict[Group, int]:
        """Rows of each group, sorted by GPU and stack."""
        total: Counter[Group] = Counter()
        for held in self.counts.values():
            total.update(held)
        return dict(sorted(total.items()))


def scan_files(
    files: Sequence[TraceFile],
    spec: Spec,
    hardware: HardwareTable,
    *,
    drop_invalid: bool = False,
    jobs: int = 1,
    engine_address: str | None = None,
) -> Scan:
    """Count the rows of each group.

    Parameters
    ----------
    files : sequence of TraceFile
    spec : Spec
    hardware : HardwareTable
    drop_invalid : bool
        Whether rows whose labels break a rule are passed over.
    jobs, engine_address
        Who shares the files, as for `bayeslat.parallel.run`; few rows are counted here.

    Returns
    -------
    Scan

    Raises
    ------
    TraceError
        With the rows whose GPU is missing or unknown, or whose labels are no text.
    """
    found = run(
        _scan_file,
        files,
        (spec, hardware, drop_invalid),
        jobs=jobs,
        engine_address=engine_address,
        worthwhile=sum(file.rows for file in files) >= _MANY_ROWS,
    )
    counts: dict[tuple[int, int], Mapping[Group, int]] = {}
    broken: list[tuple[TraceFile, int]] = []
    for number, (file, (held, wrong)) in enumerate(zip(files, found, strict=True)):
        counts |= {(number, row_group): each for row_group, each in enumerate(held)}
        broken += [(file, row_group) for row_group in wrong]
    if broken:
        raise explain(broken, spec, hardware)
    return Scan(counts)


def _scan_file(
    shared: tuple[Spec, HardwareTable, bool], file: TraceFile
) -> tuple[list[Counter[Group]], list[int]]:
    """Count a file's rows by row group; with the row groups whose labels break a rule."""
    spec, hardware, drop_invalid = shared
    labeller = Labeller(spec, hardware)
    names = [name for name in labels_of(spec) if name in file.columns]
    counts, broken = [], []
    for row_group in range(len(file.row_groups)):
        held: Counter[Label] = Counter()
        for _, batch in read_batches(file, [row_group], names) if names else ():
            labels = labeller.read(batch)
            rows = np.bincount(labels.code, minlength=len(labels.held)).tolist()
            held.update(dict(zip(labels.held, rows, strict=True)))
        known = [label for label in held if label.gpu is not None]
        if not known or (len(known) < len(held) and not drop_invalid):
            broken.append(row_group)
        groups: Counter[Group] = Counter()
        for label in known:
            groups[(label.gpu or "", label.stack)] += held[label]
        counts.append(groups)
    return counts, broken


def explain(
    places: Sequence[tuple[TraceFile, int]], spec: Spec, hardware: HardwareTable
) -> TraceError:
    """Tell what is wrong with the rows of some row groups.

    Parameters
    ----------
    places : sequence of (TraceFile, row group)
    spec : Spec
    hardware : HardwareTable

    Returns
    -------
    TraceError
        With every violation in the first twenty of them.
    """
    found: list[Violation] = []
    for file, row_group in places[:_EXPLAINED]:
        for first, batch in read_batches(file, [row_group]):
            found += find_violations(measured(to_frame(file, first, batch), spec), spec, hardware)
    found = merge_violations(found)
    if not found:
        told = ", ".join(str(file.path) for file, _ in places[:3])
        return TraceError(f"{told}: rows break a rule that their columns keep; report this")
    rest = len(places) - _EXPLAINED
    more = f"\n{rest} more row groups hold such rows." if rest > 0 else ""
    return TraceError(report(found) + more, tuple(found))
