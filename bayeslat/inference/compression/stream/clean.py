"""Leaving out the rows of a stream that break a rule, and telling which."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import islice

import pyarrow as pa

from bayeslat.features.admit import find_violations
from bayeslat.features.hardware import HardwareTable
from bayeslat.features.spec import Spec
from bayeslat.inference.compression.stream.files import TraceFile, measured, to_frame
from bayeslat.traces import Violation
from bayeslat.traces.drop import drop_invalid

__all__ = ["LeftOut", "clean", "merge_violations"]

_TOLD = 200  # violations, batch by batch: the first ones will do


@dataclass(frozen=True)
class LeftOut:
    """Rows that were left out.

    Attributes
    ----------
    rows : int
    violations : tuple of Violation
        What is wrong with them; with the first ones, if there are very many.
    """

    rows: int = 0
    violations: tuple[Violation, ...] = ()

    @classmethod
    def together(cls, parts: Iterable[LeftOut]) -> LeftOut:
        """Return what was left out in all parts."""
        held = list(parts)
        found = (violation for part in held for violation in part.violations)
        return cls(sum(part.rows for part in held), tuple(merge_violations(islice(found, _TOLD))))


def clean(
    file: TraceFile, first: int, batch: pa.RecordBatch, spec: Spec, hardware: HardwareTable
) -> tuple[pa.RecordBatch, LeftOut]:
    """Leave out the rows of a batch that break a rule.

    Parameters
    ----------
    file : TraceFile
    first : int
        Position of the batch's first row in the file.
    batch : RecordBatch
    spec : Spec
    hardware : HardwareTable

    Returns
    -------
    kept : RecordBatch
    left_out : LeftOut

    Raises
    ------
    TraceError
        If a column breaks a rule, which leaving rows out cannot cure.
    """
    frame = to_frame(file, first, batch)
    held = measured(frame, spec)
    violations = find_violations(held, spec, hardware)
    _, broken = drop_invalid(held, violations, some=False)
    keep = ~frame.index.isin(broken.index)
    return batch.filter(pa.array(keep)), LeftOut(len(broken), tuple(violations))


def merge_violations(violations: Iterable[Violation]) -> list[Violation]:
    """Join what is told of several batches of a file.

    Parameters
    ----------
    violations : iterable of Violation

    Returns
    -------
    list of Violation
        One for each file, column and rule.
    """
    joined: dict[tuple[str, str | None, str], Violation] = {}
    for each in violations:
        key = (each.file, each.column, each.message)
        known = joined.get(key)
        if known is not None:
            told = tuple(dict.fromkeys((*known.found, *each.found)))
            each = replace(known, rows=(*known.rows, *each.rows), found=told)
        joined[key] = each
    return list(joined.values())
