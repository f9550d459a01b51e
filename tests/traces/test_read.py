from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bayeslat.traces import locate, read_configs, read_traces, write_traces
from bayeslat.traces.times import read_times


def test_sources_are_told_in_attrs(trace: pd.DataFrame, tmp_path: Path) -> None:
    trace.to_parquet(tmp_path / "a.parquet")
    trace.assign(gpu="a100").head(3).to_csv(tmp_path / "b.csv", index=False)
    frame = read_traces([tmp_path / "b.csv"], tmp_path)
    sources = [[str(tmp_path / "b.csv"), 0, 3], [str(tmp_path / "a.parquet"), 3, 6]]
    assert frame.attrs["bayeslat"]["sources"] == sources
    assert frame.index.equals(pd.RangeIndex(9))
    assert locate(frame[frame["gpu"] == "l40s"]).rows.tolist() == [4, 5, 6]


def test_columns_stand_in_the_order_first_seen(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("z,gpu,t_a_ms\n1,h100,1\n")
    (tmp_path / "b.csv").write_text("k,t_b_ms,gpu\n2,3,l40s\n")
    frame = read_traces(tmp_path)
    assert frame.columns.tolist() == ["z", "gpu", "t_a_ms", "k", "t_b_ms"]
    assert frame["k"].isna().tolist() == [True, False]


def test_whole_numbers_stay_whole_where_none_is_missing(tmp_path: Path) -> None:
    for name, extra in (("a", ""), ("b", ',"n":1')):
        x = {"a": "1", "b": "0.5"}[name]
        line = f'{{"gpu":"{name}","k":1,"x":{x}{extra},"t_a_ms":1}}'
        (tmp_path / f"{name}.jsonl").write_text(line)
    frame = read_traces(tmp_path)
    assert frame["k"].dtype == np.int64
    assert frame["x"].tolist() == [1.0, 0.5]
    assert frame["n"].isna().tolist() == [True, False]


def test_long_identities_are_not_rounded(tmp_path: Path) -> None:
    big = 2**53 + 1
    (tmp_path / "a.csv").write_text(f"gpu,config_id,hash,t_a_ms\nh100,{big},{10**25 + 1},1\n")
    (tmp_path / "b.csv").write_text(
        f"gpu,config_id,hash,t_a_ms\nh100,{big - 1},{10**25},1\nh100,,7,1\n"
    )
    (tmp_path / "c.jsonl").write_text(f'{{"gpu":"h100","config_id":{big + 1},"t_a_ms":2}}\n')
    frame = read_traces(tmp_path / "a.csv", tmp_path / "b.csv", tmp_path / "c.jsonl", check=False)
    assert frame["config_id"].astype(object).tolist()[:2] == [big, big - 1]
    assert frame["config_id"].tolist()[3] == big + 1
    assert read_traces(tmp_path / "a.csv")["hash"].tolist() == [str(10**25 + 1)]


def test_identifiers_in_csv_are_kept_as_they_are_written(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(
        "gpu,id,config_id,host,job_id,k,repeat,version,t_a_ms\n"
        "h100,007,1.1,00,1e3,0.50,01,1.10,01.50\n"
        "h100,010,1.10,12,1000,10,02,2.20,2\n"
    )
    frame = read_traces(tmp_path / "a.csv")
    assert frame["id"].tolist() == ["007", "010"]
    assert frame["config_id"].tolist() == ["1.1", "1.10"]
    assert frame["host"].tolist() == ["00", "12"]
    assert frame["job_id"].tolist() == ["1e3", "1000"]
    assert frame["k"].tolist() == [0.5, 10.0]
    assert frame["repeat"].tolist() == [1, 2]
    assert frame["version"].tolist() == [1.1, 2.2]  # what no name calls an identifier are numbers
    assert frame["t_a_ms"].tolist() == [1.5, 2.0]
    write_traces(frame, tmp_path / "b.csv")
    assert read_traces(tmp_path / "b.csv").equals(frame)


def test_identifiers_of_one_csv_may_look_like_numbers(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("gpu,config_id,id,k,t_a_ms\nh100,001,1.10,1,1\nh100,,,2,1\n")
    (tmp_path / "b.csv").write_text("gpu,config_id,id,k,t_a_ms\nh100,101,1.5,1.5,1\n")
    frame = read_traces(tmp_path)
    assert frame["config_id"].dropna().tolist() == ["001", "101"]
    assert frame["id"].dropna().tolist() == ["1.10", "1.5"]
    assert frame["k"].tolist() == [1.0, 2.0, 1.5]


@pytest.mark.parametrize("cell", ["0", "7", "-7", "1.5", "1.0", "-0.25", "", "12345678901234567"])
def test_identifiers_in_csv_that_numbers_give_back_are_numbers(cell: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(f"gpu,config_id,k,t_a_ms\nh100,{cell},{cell},1\nl40s,3,3,1\n")
    frame = read_traces(tmp_path / "a.csv", check=False)
    assert frame["config_id"].dtype.kind in "if"
    assert frame["config_id"].equals(frame["k"])


def test_types_in_csv(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(
        "\ufeffgpu,stack,task,collected_at,whole,real,flag,gap,word,hex,quoted,none,t_a_ms\n"
        '100,0.10,7,2026-01-31,1,1.50,true,NA,NA,0x10,"1",,1\r\n'
        '200,0.20,8,2026-02-01, 2 ,2e-3,False,3,"NA",0x11,"",nan,2\r\n',
        newline="",
    )
    frame = read_traces(path)
    assert frame["gpu"].tolist() == ["100", "200"]
    assert frame["stack"].tolist() == ["0.10", "0.20"]
    assert frame["task"].tolist() == ["7", "8"]
    assert frame["collected_at"].tolist() == ["2026-01-31", "2026-02-01"]
    assert frame["whole"].tolist() == [1, 2]
    assert frame["whole"].dtype == np.int64
    assert frame["real"].tolist() == [1.5, 0.002]
    assert frame["flag"].tolist() == [True, False]
    assert frame["flag"].dtype == bool
    assert frame["gap"].isna().tolist() == [True, False]
    assert frame["word"].isna().tolist() == [True, False]
    assert frame["word"][1] == "NA"
    assert frame["hex"].tolist() == ["0x10", "0x11"]
    assert frame["quoted"].isna().tolist() == [False, True]
    assert frame["quoted"][0] == 1
    assert frame["none"].isna().all()


def test_index_that_pandas_wrote_is_no_column(trace: pd.DataFrame, tmp_path: Path) -> None:
    taken = trace.iloc[[4, 1]]
    taken.to_csv(tmp_path / "a.csv")
    taken.assign(stack="other").to_parquet(tmp_path / "b.parquet")
    frame = read_traces(tmp_path)
    assert frame.columns.tolist() == trace.columns.tolist()
    assert frame["batch_size"].tolist() == [2, 2] * 2


def test_parquet_types_are_made_plain(tmp_path: Path) -> None:
    table = pa.table(
        {
            "gpu": pa.array(["h100", "l40s"]).dictionary_encode(),
            "k": pa.array([1, 2], pa.decimal128(5, 2)),
            "stack": pa.array(["a", None], pa.large_string()),
            "t_a_ms": pa.array([1.5, None], pa.float32()),
            "t_b_ms": pa.array([None, 1.5], pa.float64()),
        }
    )
    folder = tmp_path / "gpu=other"
    folder.mkdir()
    pq.write_table(table, folder / "a.parquet")
    frame = read_traces(folder)
    assert frame["gpu"].tolist() == ["h100", "l40s"]
    assert frame["k"].tolist() == [1.0, 2.0]
    assert frame["k"].dtype == float


def test_blank_lines_and_line_ends_of_json(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(
        b'\xef\xbb\xbf{"gpu":"a","t_a_ms":NaN,"t_b_ms":1}\r\n\r\n{"gpu":"b","t_a_ms":1}'
    )
    frame = read_traces(path)
    assert frame["gpu"].tolist() == ["a", "b"]
    assert frame["t_a_ms"].isna().tolist() == [True, False]


def test_latencies_in_configs_are_not_looked_at(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("gpu,k,t_a_ms\n,1,OOM\n,1,-1\n")
    assert read_configs(tmp_path / "a.csv")["k"].tolist() == [1, 1]


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", None])
def test_times_of_one_file_stand_beside_text_of_another(
    trace: pd.DataFrame, tmp_path: Path, zone: str | None
) -> None:
    times = pd.date_range("2026-11-30 12:00:00.25", periods=len(trace), freq="h", tz=zone)
    told = trace.assign(collected_at=times.as_unit("ms"), repeat=0)
    write_traces(told, tmp_path / "a.parquet")
    write_traces(told.assign(repeat=1), tmp_path / "b.csv")
    write_traces(told.assign(repeat=2, collected_at=None), tmp_path / "c.csv")
    frame = read_traces(*(tmp_path / name for name in ("a.parquet", "b.csv", "c.csv")))
    expected = pd.to_datetime(pd.Series([*times, *times]), utc=True)
    found = read_times(frame["collected_at"])
    assert found.head(len(expected)).tolist() == expected.tolist()
    assert found.tail(len(trace)).isna().all()
