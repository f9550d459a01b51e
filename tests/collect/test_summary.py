from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bayeslat.collect.summary import main, stage_sum_ratio, summarise
from bayeslat.traces import write_traces


@pytest.fixture
def frame() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "gpu": ["a", "a", "a", "b"],
            "config_id": [0, 0, 1, 0],
            "repeat": [0, 1, 0, 0],
            "output_tokens": [3, 3, 1, 3],
            "t_llm_prefill_ms": [9.0, 11.0, 50.0, 4.0],
            "t_llm_decode_per_token_ms": [2.0, 2.5, np.nan, 1.0],
            "end_to_end_ms": [20.0, 20.0, 100.0, 6.0],
        }
    )


def test_decode_counts_once_per_token_after_the_first(frame: pd.DataFrame) -> None:
    # (9 + 2 * 2) / 20, (11 + 2 * 2.5) / 20, 50 / 100, (4 + 2 * 1) / 6
    assert stage_sum_ratio(frame).tolist() == pytest.approx([0.65, 0.8, 0.5, 1.0])


def test_spread_is_that_of_repeats_alone(frame: pd.DataFrame) -> None:
    table = summarise(frame).set_index(["gpu", "stage"])
    # By hand: the repeats 9 and 11 of config 0 around their median 10; config 1 has none.
    assert table.loc[("a", "llm_prefill"), "spread"] == pytest.approx(0.2)
    assert table.loc[("a", "llm_prefill"), "q50_ms"] == 11.0
    assert table["spread"].isna().tolist() == [False, False, False, True, True, True]


def test_the_command_prints_both_tables(
    frame: pd.DataFrame, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_traces(frame, tmp_path / "trace.parquet")
    assert main([str(tmp_path / "trace.parquet")]) == 0
    printed = capsys.readouterr().out
    assert "llm_decode_per_token" in printed
    assert "sum of stages / end to end" in printed


def test_a_missing_trace_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "absent.parquet")]) == 1
    assert "absent.parquet" in capsys.readouterr().err
