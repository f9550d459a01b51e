from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from bayeslat.errors import TraceError
from bayeslat.traces import Violation, check_frame, drop_invalid, read_traces, write_table


def test_rows_are_split(trace: pd.DataFrame) -> None:
    trace.attrs["note"] = "kept"
    trace.loc[1, "t_prefill_ms"] = -1.0
    trace.loc[3, "gpu"] = ""
    before = trace.copy()
    kept, dropped = drop_invalid(trace, check_frame(trace))
    assert kept.index.tolist() == [0, 2, 4, 5]
    assert dropped.index.tolist() == [1, 3]
    pd.testing.assert_frame_equal(pd.concat([kept, dropped]).sort_index(), before)
    assert kept.attrs == dropped.attrs == {"note": "kept"}
    assert check_frame(kept) == ()
    pd.testing.assert_frame_equal(trace, before)


def test_rows_of_several_files(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("gpu,config_id,t_a_ms\nh100,0,1\nh100,1,0\n")
    (tmp_path / "b.csv").write_text("gpu,config_id,t_a_ms\nl40s,0,0\nl40s,1,1.5\nl40s,2,OOM\n")
    frame = read_traces(tmp_path, check=False)
    kept, dropped = drop_invalid(frame, check_frame(frame))
    assert kept["t_a_ms"].tolist() == [1.0, 1.5]
    assert kept["t_a_ms"].dtype == float
    assert dropped["t_a_ms"].tolist() == [0, "0", "OOM"]
    assert check_frame(kept) == ()
    for name in ("dropped.csv", "dropped.parquet", "dropped.jsonl"):
        write_table(dropped, tmp_path / "out" / name)
        assert len(read_traces(tmp_path / "out" / name, check=False)) == 3


def test_wrong_number_hidden_in_text_is_dropped_too(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("gpu,config_id,t_a_ms\nh100,0,1\nh100,1,-2\nh100,2,OOM\n")
    frame = read_traces(tmp_path, check=False)
    kept, _ = drop_invalid(frame, check_frame(frame))
    assert kept["t_a_ms"].tolist() == [1]
    assert check_frame(kept) == ()


def test_nothing_to_drop(trace: pd.DataFrame) -> None:
    kept, dropped = drop_invalid(trace, ())
    pd.testing.assert_frame_equal(kept, trace)
    assert dropped.empty
    assert dropped.columns.equals(trace.columns)


def test_whole_columns_cannot_be_dropped(trace: pd.DataFrame) -> None:
    trace.loc[0, "t_prefill_ms"] = -1.0
    violations = check_frame(trace.drop(columns="gpu"))
    with pytest.raises(
        TraceError, match=r"dropping rows cannot cure this:\n.*column 'gpu'"
    ) as caught:
        drop_invalid(trace, violations)
    assert caught.value.violations == violations


def test_no_row_left(trace: pd.DataFrame) -> None:
    violations = check_frame(trace.assign(t_prefill_ms=0.0))
    with pytest.raises(TraceError, match=r"no row is left:\n.*finite and above 0 ms"):
        drop_invalid(trace, violations)


def test_violations_of_other_files_drop_nothing(trace: pd.DataFrame) -> None:
    kept, _ = drop_invalid(trace, [Violation("other.csv", (1, 2), "gpu", "rule")])
    assert len(kept) == len(trace)
