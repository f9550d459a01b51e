from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bayeslat.errors import InputError
from bayeslat.traces import Provenance, provenances, read_traces, write_table, write_traces
from bayeslat.traces.write import check_table_path

NAMES = ["a.parquet", "a.csv", "a.jsonl"]


@pytest.mark.parametrize("name", ["a.txt", "a", "a.csv.gz", "a.json", ".parquet"])
def test_unknown_suffix(name: str, trace: pd.DataFrame, tmp_path: Path) -> None:
    for write in (write_table, write_traces):
        with pytest.raises(
            InputError, match=r"unknown suffix .*; name a file that ends in \.parquet"
        ):
            write(trace, tmp_path / "sub" / name)
    assert list(tmp_path.iterdir()) == []


def test_folder_in_the_way(trace: pd.DataFrame, tmp_path: Path) -> None:
    (tmp_path / "a.csv").mkdir()
    with pytest.raises(InputError, match="is a folder; name a file"):
        write_table(trace, tmp_path / "a.csv")
    assert check_table_path(tmp_path / "b.CSV") == tmp_path / "b.CSV"


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ("object", "column 'bad' cannot be written|cannot be written as"),
        ("surrogate", "column 'bad' cannot be written|cannot be written as"),
        ("number as name", "column names must be unique text, not 7; rename the columns"),
        ("same name", "column names must be unique text, not 'gpu'"),
        ("no column", "has no columns"),
    ],
)
def test_nothing_is_written_on_error(
    name: str, fault: str, expected: str, trace: pd.DataFrame, tmp_path: Path
) -> None:
    provenance = Provenance(source="measured")
    frames = {
        "object": trace.assign(bad=pd.Series([object()] * 6, dtype=object)),
        "surrogate": trace.assign(bad=pd.Series(["\ud800"] * 6, dtype=object)),
        "number as name": trace.rename(columns={"gpu": 7}),
        "same name": pd.concat([trace, trace], axis="columns"),
        "no column": pd.DataFrame(),
    }
    path = tmp_path / name
    with pytest.raises(InputError, match=expected):
        write_traces(frames[fault], path, provenance)
    assert list(tmp_path.iterdir()) == []
    write_traces(trace, path, provenance)
    before = {file: file.read_bytes() for file in tmp_path.iterdir()}
    with pytest.raises(InputError, match=expected):
        write_traces(frames[fault], path)
    assert {file: file.read_bytes() for file in tmp_path.iterdir()} == before


def test_lists_go_where_they_can(tmp_path: Path) -> None:
    frame = pd.DataFrame({"k": [1, 2], "list": [np.array([1, 2]), [3]]})
    with pytest.raises(InputError, match="write Parquet, or leave out columns that hold lists"):
        write_table(frame, tmp_path / "a.csv")
    for name in ("a.parquet", "a.jsonl"):
        write_table(frame, tmp_path / name)
        read = read_traces(tmp_path / name, check=False)
        assert [list(cell) for cell in read["list"]] == [[1, 2], [3]]


def test_mixed_cells_become_text_where_a_column_has_one_type(tmp_path: Path) -> None:
    frame = pd.DataFrame({"k": [1, "OOM", None, 2.5]}, dtype=object)
    for name in ("a.parquet", "a.csv"):
        write_table(frame.assign(x=1), tmp_path / name)
        read = read_traces(tmp_path / name, check=False)["k"]
        assert read.dropna().tolist() == ["1", "OOM", "2.5"]
    write_table(frame, tmp_path / "a.jsonl")
    assert read_traces(tmp_path / "a.jsonl", check=False)["k"].dropna().tolist() == [1, "OOM", 2.5]


@pytest.mark.parametrize("name", NAMES)
def test_index_is_not_written(name: str, trace: pd.DataFrame, tmp_path: Path) -> None:
    shuffled = trace.iloc[[3, 0, 5]].astype({"gpu": "category"})
    write_table(shuffled, tmp_path / "new" / name)
    read = read_traces(tmp_path / "new")
    pd.testing.assert_frame_equal(read, trace.iloc[[3, 0, 5]].reset_index(drop=True))


def test_times_are_written_as_iso_text(tmp_path: Path) -> None:
    frame = pd.DataFrame({"at": pd.to_datetime(["2026-01-31T12:00:00Z"]), "k": 1})
    for name, expected in (("a.csv", "2026-01-31 12:00:00"), ("a.jsonl", "2026-01-31T12:00:00Z")):
        write_table(frame, tmp_path / name)
        assert read_traces(tmp_path / name, check=False)["at"][0].startswith(expected)


def test_a_trace_keeps_the_provenance_it_was_read_with(tmp_path: Path) -> None:
    frame = pd.DataFrame({"gpu": ["l4"], "t_step_ms": [1.0]})
    measured = Provenance(source="measured", tool="a timer")
    write_traces(frame, tmp_path / "first.parquet", measured)
    again = read_traces(tmp_path / "first.parquet")
    write_traces(again, tmp_path / "second.csv")
    assert provenances(read_traces(tmp_path / "second.csv")) == (measured,)
    write_traces(frame, tmp_path / "other.parquet", Provenance(source="simulated"))
    both = read_traces(tmp_path / "first.parquet", tmp_path / "other.parquet", check=False)
    write_traces(both, tmp_path / "both.parquet")
    assert provenances(read_traces(tmp_path / "both.parquet", check=False)) == (None,)
