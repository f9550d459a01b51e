"""Cells that cannot be, and rows that contradict themselves."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bayeslat.traces.importers.clean import REFUSED, Cleaner
from bayeslat.traces.importers.importer import Batch
from bayeslat.traces.importers.vocabulary import columns_named


def clean(**columns: Any) -> dict[str, list[object]]:
    cleaner = Cleaner(columns_named("t_ttft_ms", "t_e2e_ms", "prompt_tokens"))
    n_rows = len(next(iter(columns.values())))
    found: dict[str, list[object]] = cleaner.clean(Batch(n_rows, columns)).to_pydict()
    return found


@pytest.mark.parametrize("kind", [list, np.array, lambda cells: np.array(cells, dtype=np.int64)])
def test_a_count_below_zero_is_missing(kind: type) -> None:
    assert clean(t_ttft_ms=[1.0] * 3, prompt_tokens=kind([0, -5, 7]))["prompt_tokens"] == [
        0,
        None,
        7,
    ]


def test_a_first_token_after_the_end_is_no_measurement() -> None:
    """A time in another unit, or of another clock, in single rows."""
    refused = clean(t_ttft_ms=[40.0, 35_671.0, 500.4, np.nan], t_e2e_ms=[500.0, 996.0, 500.0, 9.0])
    assert refused[REFUSED] == [None, "its first token came after its end", None, None]


def test_an_answer_in_one_piece_does_not_tell_of_single_tokens() -> None:
    cleaner = Cleaner(columns_named("t_ttft_ms", "t_tpot_ms", "t_e2e_ms"))
    cells = {"t_ttft_ms": [665.6, 116.5, 9.0], "t_tpot_ms": [0.004, 18.0, np.nan]}
    batch = Batch(3, {**cells, "t_e2e_ms": [665.7, 458.5, 9.0]})
    found = cleaner.clean(batch).to_pydict()
    assert found["t_ttft_ms"] == [None, 116.5, 9.0]
    assert found["t_tpot_ms"][:2] == [None, 18.0]
    assert found["t_e2e_ms"] == [665.7, 458.5, 9.0]
    assert cleaner.pieces == 1
