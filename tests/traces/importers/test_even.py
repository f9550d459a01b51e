"""Batches are cut and joined without a change to their rows."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest

from bayeslat.traces.importers.even import even_batches
from bayeslat.traces.importers.importer import Batch

SIZES = (3, 0, 2, 9, 1, 1, 30, 4)


def numbered(sizes: Iterable[int], section: str = "", kind: str = "a") -> list[Batch]:
    """Return batches whose rows are numbered."""
    made, first = [], 0
    for size in sizes:
        rows = list(range(first, first + size))
        columns = {"list": list(map(str, rows)), "array": np.array(rows), "kind": kind}
        made.append(Batch(size, columns, section, np.array(rows, float), None, [None] * size))
        first += size
    return made


@pytest.mark.parametrize("n_rows", [1, 4, 7, 100])
def test_rows_and_their_order_stay(n_rows: int) -> None:
    found = list(even_batches(numbered(SIZES), n_rows))
    assert all(0 < batch.n_rows <= n_rows for batch in found)
    rows = [int(row) for batch in found for row in batch.columns["array"]]
    assert rows == list(range(sum(SIZES)))
    assert [int(row) for batch in found for row in batch.columns["list"]] == rows
    assert [int(row) for batch in found if batch.start_s is not None for row in batch.start_s] == (
        rows
    )
    assert all(batch.columns["kind"] == "a" and batch.end_s is None for batch in found)
    assert all(len(batch.refused or ()) == batch.n_rows for batch in found)
    assert len(found) <= 2 * sum(SIZES) / n_rows + 1


def test_batches_that_differ_stay_apart() -> None:
    batches = [*numbered([2]), *numbered([2], section="b"), *numbered([2], kind="c")]
    batches.append(Batch(2, {"array": np.arange(2)}))
    assert [batch.n_rows for batch in even_batches(batches)] == [2, 2, 2, 2]
