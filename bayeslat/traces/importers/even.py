"""Batches of about the same size: small ones joined, large ones cut.

What each batch costs on its way to the trace is then paid rarely, and little is in memory at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

import numpy as np
import pyarrow as pa

from bayeslat.traces.importers.importer import Batch

__all__ = ["even_batches"]

_ROWS = 1 << 15
_PARTS = ("start_s", "end_s", "refused")


def even_batches(batches: Iterable[Batch], n_rows: int = _ROWS) -> Iterator[Batch]:
    """Cut large batches, and join neighbours of one section that fill the same columns.

    Parameters
    ----------
    batches : iterable of Batch
        A file's, in order.
    n_rows : int
        The most rows of a batch.

    Yields
    ------
    Batch
        The same rows in the same order; none is empty.
    """
    held: list[Batch] = []
    held_rows = 0
    for batch in _cut(batches, n_rows):
        if held and (held_rows + batch.n_rows > n_rows or not _alike(held[0], batch)):
            yield _join(held)
            held, held_rows = [], 0
        held.append(batch)
        held_rows += batch.n_rows
    if held:
        yield _join(held)


def _cut(batches: Iterable[Batch], n_rows: int) -> Iterator[Batch]:
    for batch in batches:
        for first in range(0, batch.n_rows, n_rows):
            yield batch if batch.n_rows <= n_rows else _part(batch, first, n_rows)


def _part(batch: Batch, first: int, n_rows: int) -> Batch:
    """Return some rows of a batch."""
    rows = slice(first, min(first + n_rows, batch.n_rows))
    columns = {
        name: cells if _is_cell(cells) else cells[rows] for name, cells in batch.columns.items()
    }
    parts = {name: cells[rows] for name in _PARTS if (cells := getattr(batch, name)) is not None}
    return Batch(rows.stop - rows.start, columns, batch.section, **parts)


def _alike(one: Batch, other: Batch) -> bool:
    """Tell whether two batches can be joined."""
    return (
        one.section == other.section
        and one.columns.keys() == other.columns.keys()
        and _constants(one) == _constants(other)
        and all((getattr(one, name) is None) == (getattr(other, name) is None) for name in _PARTS)
    )


def _constants(batch: Batch) -> dict[str, object]:
    """Return the columns with one cell for all rows."""
    return {name: cells for name, cells in batch.columns.items() if _is_cell(cells)}


def _is_cell(cells: object) -> bool:
    return isinstance(cells, str | int | float | np.generic)


def _join(batches: list[Batch]) -> Batch:
    first = batches[0]
    if len(batches) == 1:
        return first
    columns = {
        name: cells if _is_cell(cells) else _concatenate([each.columns[name] for each in batches])
        for name, cells in first.columns.items()
    }
    parts = {
        name: _concatenate([getattr(each, name) for each in batches])
        for name in _PARTS
        if getattr(first, name) is not None
    }
    return Batch(sum(each.n_rows for each in batches), columns, first.section, **parts)


def _concatenate(cells: list[Any]) -> Any:
    """Return the cells of several batches in a row."""
    if isinstance(cells[0], np.ndarray):
        return np.concatenate(cells)
    if isinstance(cells[0], pa.Array):
        return pa.concat_arrays(cells)
    return list(chain.from_iterable(cells))
