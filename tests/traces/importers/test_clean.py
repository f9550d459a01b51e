"""Cells that cannot be, and rows that contradict themselves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bayeslat.traces.importers import llmd_predictor
from bayeslat.traces.importers.clean import REFUSED, TICK_MS, Cleaner
from bayeslat.traces.importers.convert import Settings, import_traces
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


def test_a_first_token_before_the_request_is_no_measurement() -> None:
    """A clock that went back: the time of further tokens is counted from it, too."""
    cleaner = Cleaner(columns_named("t_ttft_ms", "t_tpot_ms", "t_e2e_ms"))
    cells = {"t_ttft_ms": [-500.0, 40.0], "t_tpot_ms": [31.3, 19.5], "t_e2e_ms": [846.4, 860.0]}
    refused = cleaner.clean(Batch(2, cells)).to_pydict()[REFUSED]
    assert refused == ["its first token came before it was sent", None]
    assert not +cleaner.emptied  # counted once, as a row


def test_an_answer_in_one_piece_does_not_tell_of_single_tokens() -> None:
    cleaner = Cleaner(columns_named("t_ttft_ms", "t_tpot_ms", "t_e2e_ms"))
    cells = {"t_ttft_ms": [665.6, 116.5, 9.0, 700.0], "t_tpot_ms": [0.004, 18.0, np.nan, 0.0]}
    batch = Batch(4, {**cells, "t_e2e_ms": [665.7, 458.5, 9.0, 700.0]})
    found = cleaner.clean(batch).to_pydict()
    assert found["t_ttft_ms"] == [None, 116.5, 9.0, None]
    assert found["t_tpot_ms"] == [None, 18.0, None, None]
    assert found["t_e2e_ms"] == [665.7, 458.5, 9.0, 700.0]
    assert cleaner.pieces == 2
    assert not +cleaner.emptied  # each is counted once


@pytest.mark.parametrize("gap_ms", [0.0, 0.001, 0.01, 0.04])
def test_answers_in_one_piece_do_not_tell_of_the_unit(gap_ms: float) -> None:
    cleaner = Cleaner(columns_named("t_ttft_ms", "t_tpot_ms", "t_e2e_ms"))
    cells = {"t_ttft_ms": [665.6] * 9, "t_tpot_ms": [gap_ms] * 9, "t_e2e_ms": [666.0] * 9}
    cleaner.clean(Batch(9, cells))
    cleaner.check_units("answers.json")
    assert cleaner.pieces == 9


def test_a_wait_of_nothing_is_shorter_than_a_tick_and_stays() -> None:
    """Left out, a server that lets nobody wait would have no waits but long ones."""
    cleaner = Cleaner(columns_named("t_queueing_ms", "t_prefill_ms"))
    cells = {"t_queueing_ms": [0.0, 35.0, -1.0, np.nan], "t_prefill_ms": [0.0, 4.0, 4.0, 4.0]}
    found = cleaner.clean(Batch(4, cells)).to_pydict()
    assert found["t_queueing_ms"] == [TICK_MS, 35.0, None, None]
    assert found["t_prefill_ms"] == [None, 4.0, 4.0, 4.0]  # work takes time
    assert +cleaner.emptied == {"t_queueing_ms": 1, "t_prefill_ms": 1}


def test_a_first_token_before_the_request_is_counted_where_no_end_is_told() -> None:
    cleaner = Cleaner(columns_named("t_ttft_ms", "t_tpot_ms"))
    cells = {"t_ttft_ms": [-3.0, 40.0], "t_tpot_ms": [20.0, 20.0]}
    refused = cleaner.clean(Batch(2, cells)).to_pydict()[REFUSED]
    assert refused == ["its first token came before it was sent", None]


def test_a_latency_that_a_sample_does_not_have_is_no_answer_in_one_piece(tmp_path: Path) -> None:
    """llm-d writes 0 for it: the other one stands."""
    file, trace = tmp_path / "samples.jsonl", tmp_path / "trace.parquet"
    sample = {
        "kv_cache_percentage": 0.2,
        "input_token_length": 9,
        "num_request_waiting": 0,
        "num_request_running": 1,
        "num_tokens_generated": 7,
        "actual_ttft_ms": 31.0,
        "actual_tpot_ms": 0.0,
    }
    file.write_text(json.dumps(sample) + "\n")
    done = import_traces(llmd_predictor.IMPORTER, [file], trace, Settings(gpu="h100_sxm"))
    assert pd.read_parquet(trace)["t_ttft_ms"].tolist() == [31.0]
    assert not done.emptied
    assert not done.notes
