"""Every malformed trace gives one error that names the file, the rows or column and the cure."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bayeslat.errors import TraceError
from bayeslat.traces import read_configs, read_traces

# What is wrong, the file's name, its content, and what the message must say besides the name.
TEXTS: dict[str, tuple[str, str | bytes, list[str]]] = {
    "empty CSV": ("a.csv", "", ["the file is empty", "starts with a header row"]),
    "CSV of a byte order mark": ("a.csv", b"\xef\xbb\xbf", ["the file is empty"]),
    "CSV of blank lines": ("a.csv", "\n\n \n", ["the file is empty", "header row"]),
    "CSV header without rows": ("a.csv", "gpu,t_a_ms\n", ["no rows", "leave the file out"]),
    "CSV row too long": (
        "a.csv",
        "gpu,t_a_ms\nh100,1\nh100,1,2\n",
        ["row 2", "as many cells as the header, 2", "quote cells", "3 cells in row 2"],
    ),
    "CSV rows of every length": (
        "a.csv",
        "gpu,t_a_ms\nh100\nh100,1\nh100,1,2\nh100,\n\nh100\n",
        ["rows 1, 3, 5", "add the missing ones", "1 cells in row 1"],
    ),
    "CSV ragged beside cells that span lines": (
        "a.csv",
        'gpu,note,t_a_ms\nh100,"two\nlines",1\nh100,x\n',
        ["row 2", "2 cells in row 2"],
    ),
    "CSV with an open quote": ("a.csv", 'gpu,t_a_ms\nh100,"1\nl40s,2\n', ["a quote is not closed"]),
    "CSV in Latin-1": (
        "a.csv",
        "gpu,note,t_a_ms\nh100,ok,1\nh100,caf\xe9,1\n".encode("latin-1"),
        ["line 3 is not UTF-8", "save the file as CSV in UTF-8"],
    ),
    "CSV in UTF-16": ("a.csv", "gpu,t_a_ms\nh100,1\n".encode("utf-16"), ["line 1 is not UTF-8"]),
    "CSV with semicolons": (
        "a.csv",
        "gpu;t_a_ms\nh100;1,5\n",
        ["separated by semicolons", "separate them by commas"],
    ),
    "CSV with tabs": ("a.csv", "gpu\tt_a_ms\nh100\t1\n", ["separated by tabs", "by commas"]),
    "CSV column twice": (
        "a.csv",
        "gpu,t_a_ms,t_a_ms\nh100,1,2\n",
        ["column 't_a_ms'", "must be unique", "rename or remove one"],
    ),
    "CSV column without a name": (
        "a.csv",
        "gpu,,t_a_ms\nh100,1,2\n",
        ["column 2 has no name", "name it in the header row"],
    ),
    "spaces around a name": (
        "a.csv",
        "gpu, t_a_ms,t_b_ms\nh100,1,2\n",
        ["column ' t_a_ms'", "without spaces around it", "rename the column"],
    ),
    "no GPU column": (
        "a.csv",
        "config_id,t_a_ms\n1,2\n",
        ["column 'gpu'", "is required", "add it"],
    ),
    "another name for the GPU column": (
        "a.csv",
        "GPU,t_a_ms\nh100,2\n",
        ["column 'gpu'", "rename column 'GPU' to 'gpu'"],
    ),
    "GPU not named in some rows": (
        "a.csv",
        'gpu,t_a_ms\nh100,2\n,3\n"  ",4\nNA,5\n',
        ["rows 2-4", "column 'gpu'", "must be named in every row", "fill in its key"],
    ),
    "no latency column": (
        "a.csv",
        "gpu,prefill_ms\nh100,2\n",
        ["no latency column", "rename 'prefill_ms' to 't_prefill_ms'"],
    ),
    "no column that could be a latency": (
        "a.csv",
        "gpu,batch_size\nh100,2\n",
        ["no latency column", "add one for each measured stage"],
    ),
    "zero and negative latencies": (
        "a.csv",
        "gpu,config_id,t_a_ms\nh100,0,0\nh100,1,1\nh100,2,-2.5\n",
        ["rows 1, 3", "column 't_a_ms'", "finite and above 0 ms", "(found 0, -2.5)"],
    ),
    "infinite latency": (
        "a.csv",
        "gpu,config_id,t_a_ms\nh100,0,inf\nh100,1,1e999\n",
        ["rows 1-2", "finite and above 0 ms", "measure it again", "found inf"],
    ),
    "latency with its unit": (
        "a.csv",
        "gpu,config_id,t_a_ms\nh100,0,1\nh100,1,12.3 ms\nh100,2,OOM\n",
        ["rows 2-3", "column 't_a_ms'", "write the bare number", "found '12.3 ms', 'OOM'"],
    ),
    "wrong number among text": (
        "a.csv",
        "gpu,config_id,t_a_ms\nh100,0,-1\nh100,1,12.3 ms\n",
        ["row 1, column", "above 0 ms", "row 2, column", "bare number"],
    ),
    "latency with a decimal comma": (
        "a.csv",
        'gpu,t_a_ms\nh100,"1,5"\n',
        ["row 1", "write the bare number", "found '1,5'"],
    ),
    "truth values as latencies": (
        "a.csv",
        "gpu,config_id,t_a_ms\nh100,0,true\nh100,1,false\n",
        ["rows 1-2", "must be a number in milliseconds", "found True, False"],
    ),
    "row without any latency": (
        "a.csv",
        "gpu,config_id,t_a_ms,t_b_ms\nh100,0,1,\nh100,1,,\n",
        ["row 2", "at least one of t_a_ms, t_b_ms", "remove the row"],
    ),
    "negative and fractional repeat": (
        "a.csv",
        "gpu,config_id,repeat,t_a_ms\nh100,0,-1,1\nh100,0,1.5,1\nh100,0,2,1\n",
        ["rows 1-2", "column 'repeat'", "whole number, 0 or more", "number the repeats"],
    ),
    "repeat as text": (
        "a.csv",
        "gpu,config_id,repeat,t_a_ms\nh100,0,first,1\n",
        ["row 1", "column 'repeat'", "found 'first'"],
    ),
    "config_id twice": (
        "a.csv",
        "gpu,config_id,t_a_ms\nh100,5,1\nl40s,5,1\nh100,5,2\n",
        ["row 3", "same gpu, stack, task and config_id", "'repeat'", "row 3 repeats row 1 of"],
    ),
    "knobs twice": (
        "a.csv",
        "gpu,batch_size,t_a_ms\nh100,5,1\nh100,6,1\nh100,5,2\n",
        ["row 3", "same config as another row", "number the repeats", "row 3 repeats row 1"],
    ),
    "repeat number twice": (
        "a.csv",
        "gpu,config_id,repeat,t_a_ms\nh100,5,0,1\nh100,5,1,1\nh100,5,1,2\n",
        ["row 3", "number the repeats", "row 3 repeats row 2"],
    ),
    "empty JSON Lines": ("a.jsonl", "", ["no rows", "give one row"]),
    "JSON cut short": (
        "a.jsonl",
        '{"gpu": "h100", "t_a_ms": 1}\n{"gpu": "h100", "t_a_',
        ["row 2", "must be one JSON object", "correct or remove the line", "line 2: EOF"],
    ),
    "JSON lines that are no objects": (
        "a.ndjson",
        'null\n{"gpu": "h100", "t_a_ms": 1}\n[1]\n5\n',
        ["rows 1, 3-4", "line 1: a NoneType, not an object", "line 3: a list"],
    ),
    "two JSON objects on a line": (
        "a.jsonl",
        '{"gpu": "h100", "t_a_ms": 1}{"gpu": "h100", "t_a_ms": 1}\n',
        ["row 1", "line 1: trailing characters"],
    ),
    "JSON spread over lines": ("a.jsonl", '{\n"gpu": "h100"\n}\n', ["rows 1-3", "line 1: EOF"]),
    "JSON that is not UTF-8": (
        "a.jsonl",
        b'{"gpu": "\xff"}\n',
        ["row 1", "line 1: invalid unicode"],
    ),
    "JSON numbers as text": (
        "a.jsonl",
        '{"gpu": "h100", "t_a_ms": "1.5"}\n',
        ["row 1", "column 't_a_ms'", "must be a number", "found '1.5'"],
    ),
    "JSON of numbers and text": (
        "a.jsonl",
        '{"gpu": "h100", "k": 1, "t_a_ms": 1}\n{"gpu": "h100", "k": "two", "t_a_ms": 1}\n',
        ["row 2", "column 'k'", "store one kind", "found 'two'"],
    ),
    "GPU as a number": (
        "a.jsonl",
        '{"gpu": 100, "t_a_ms": 1}\n',
        ["row 1", "column 'gpu'", "write it as text", "found 100"],
    ),
    "stack as a number": (
        "a.jsonl",
        '{"gpu": "h100", "stack": 0.24, "t_a_ms": 1}\n',
        ["row 1", "column 'stack'", "write it as text", "found 0.24"],
    ),
    "task as a truth value": (
        "a.jsonl",
        '{"gpu": "h100", "task": true, "t_a_ms": 1}\n',
        ["row 1", "column 'task'", "write it as text", "found True"],
    ),
    "empty Parquet": ("a.parquet", b"", ["cannot be read as Parquet", "copy it again"]),
    "no Parquet": ("a.pq", b"\0gpu", ["cannot be read as Parquet", "damaged"]),
    "CSV as Parquet": ("a.pq", "gpu,t_a_ms\nh100,1\n", ["seems to be CSV; name it a.csv"]),
    "JSON Lines as Parquet": ("a.pq", '{"gpu": 1}\n', ["seems to be JSON Lines; name it a.jsonl"]),
    "JSON Lines as CSV": ("a.csv", '{"gpu": 1}\n', ["seems to be JSON Lines; name it a.jsonl"]),
    "long text as Parquet": ("a.pq", "k,é\n" + "1,é\n" * 999, ["seems to be CSV"]),  # é is cut
    "pointer as Parquet": (
        "a.parquet",
        "version https://git-lfs.github.com/spec/v1\noid 1\n",
        ["is text that begins with 'version https://git-lfs", "no Parquet; name another file"],
    ),
    "unknown suffix": (
        "a.txt",
        "gpu,t_a_ms\nh100,1\n",
        ["unknown suffix '.txt'", ".csv", ".jsonl"],
    ),
    "JSON document": ("a.json", "[]", ["unknown suffix '.json'", ".jsonl"]),
    "compressed": ("a.csv.gz", b"\x1f\x8b", ["unknown suffix '.gz'", "a table ends in"]),
}


@pytest.mark.parametrize("case", TEXTS)
def test_bad_file_gives_one_clear_error(case: str, tmp_path: Path) -> None:
    name, content, expected = TEXTS[case]
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(TraceError) as caught:
        read_traces(path)
    for text in [str(path), *expected]:
        assert text in str(caught.value)
    assert all(violation.file == str(path) for violation in caught.value.violations)
    assert caught.value.violations
    assert [entry.name for entry in tmp_path.iterdir()] == [name]


def _bad_parquet(kind: str) -> pa.Table:
    """Return a table with one fault."""
    columns = {"gpu": pa.array(["h100", "h100"]), "t_a_ms": pa.array([1.0, 2.0])}
    columns["config_id"] = pa.array([0, 1])
    replaced = {
        "complex text": ("t_a_ms", pa.array(["1 ms", "2 ms"])),
        "times": ("t_a_ms", pa.array([1, 2], pa.duration("ms"))),
        "lists": ("gpu", pa.array([["h100"], ["h100"]])),
        "no rows": ("gpu", pa.array([], pa.string())),
    }
    name, array = replaced[kind]
    if kind == "no rows":
        return pa.table(columns).slice(0, 0)
    return pa.table(columns | {name: array})


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("complex text", ["rows 1-2", "column 't_a_ms'", "bare number", "'1 ms', '2 ms'"]),
        ("times", ["rows 1-2", "column 't_a_ms'", "must be a number"]),
        ("lists", ["rows 1-2", "column 'gpu'", "write it as text"]),
        ("no rows", ["no rows", "leave the file out"]),
    ],
)
def test_bad_parquet_gives_one_clear_error(kind: str, expected: list[str], tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(_bad_parquet(kind), path)
    with pytest.raises(TraceError) as caught:
        read_traces(path)
    for text in [str(path), *expected]:
        assert text in str(caught.value)


@pytest.mark.parametrize("name", ["a.csv", "a.CSV", "a.jsonl"])
def test_parquet_by_another_name_is_told(name: str, tmp_path: Path) -> None:
    pq.write_table(pa.table({"gpu": ["h100"], "t_a_ms": [1.0]}), tmp_path / name)
    with pytest.raises(TraceError) as caught:
        read_traces(tmp_path)
    told = "is Parquet by its first bytes; name it a.parquet"
    assert str(caught.value) == f"{tmp_path / name}: {told}"


def test_parquet_column_twice(tmp_path: Path) -> None:
    table = pa.Table.from_arrays(
        [pa.array(["h100"]), pa.array([1.0]), pa.array([2.0])], ["gpu", "k", "k"]
    )
    pq.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(TraceError, match=r"a\.parquet, column 'k': column names must be unique"):
        read_traces(tmp_path)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("absent.parquet", "no such file or folder; check the path"),
        ("absent/*.parquet", "no table matches; its name must end in .parquet"),
        ("*.txt", "no table matches; its name must end in .parquet"),
        (".", "the folder holds no table; its files end in .parquet"),
    ],
)
def test_source_without_a_table(
    source: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "notes.txt").write_text("nothing\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(TraceError) as caught:
        read_traces(source)
    assert str(caught.value).startswith(f"{source}: {expected}")


def test_no_source_at_all() -> None:
    nothing: tuple[tuple[()] | tuple[list[str]], ...] = ((), ([],))
    for sources in nothing:
        with pytest.raises(TraceError, match="name at least one file, folder or glob"):
            read_traces(*sources)


def test_all_problems_of_all_files_at_once(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("gpu,t_a_ms\nh100,-1\n")
    (tmp_path / "b.csv").write_text("gpu,t_a_ms\nh100,1,2\n")
    (tmp_path / "c.jsonl").write_text("[]\n")
    (tmp_path / "d.parquet").write_bytes(b"PAR1")
    (tmp_path / "e.csv").write_text("gpu,config_id,t_a_ms\nh100,7,fast\n")
    with pytest.raises(TraceError) as caught:
        read_traces(tmp_path, tmp_path / "f.csv")
    names = {Path(violation.file).name for violation in caught.value.violations}
    assert names == {"a.csv", "b.csv", "c.jsonl", "d.parquet", "e.csv", "f.csv"}
    assert str(caught.value).startswith("6 problems:\n- ")


def test_column_of_two_kinds_in_two_files(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("gpu,k,t_a_ms\nh100,1,1\nh100,2,1\n")
    (tmp_path / "b.csv").write_text("gpu,k,t_a_ms\nh100,3,1\nh100,four,1\n")
    with pytest.raises(TraceError) as caught:
        read_traces(tmp_path)
    (violation,) = caught.value.violations
    assert (violation.file, violation.rows, violation.column) == (
        str(tmp_path / "b.csv"),
        (2,),
        "k",
    )
    assert "mixes numbers, text or truth values, here or between files" in str(caught.value)


def test_unreadable_metadata(tmp_path: Path, trace: pd.DataFrame) -> None:
    table = pa.Table.from_pandas(trace)
    texts = [b"{", b"[]", b"{}", b'{"source": "guessed"}', b'{"source": "measured", "schema": "2"}']
    for text in texts:
        pq.write_table(table.replace_schema_metadata({"bayeslat": text}), tmp_path / "a.parquet")
        with pytest.raises(TraceError, match=r"metadata 'bayeslat' cannot be read .*; correct or"):
            read_traces(tmp_path / "a.parquet")
    trace.to_csv(tmp_path / "b.csv", index=False)
    (tmp_path / "b.csv.meta.json").write_text("nothing")
    with pytest.raises(TraceError, match=r"b\.csv\.meta\.json: the metadata"):
        read_traces(tmp_path / "b.csv")


def test_configs_need_no_latency_and_no_gpu(tmp_path: Path) -> None:
    path = tmp_path / "configs.csv"
    path.write_text("batch_size\n1\n1\n")
    assert read_configs(path)["batch_size"].tolist() == [1, 1]
    path.write_text("batch_size,stack,x \n1,a,2\n,b,3\n")
    with pytest.raises(TraceError, match="column 'x ': a column name must be text"):
        read_configs(path)


def test_unchecked_rows_are_read_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("gpu,t_a_ms\n,-1\n")
    (tmp_path / "b.csv").write_text("gpu,t_a_ms\nh100,OOM\n")
    frame = read_traces(tmp_path, check=False)
    assert frame["t_a_ms"].tolist() == [-1, "OOM"]
    (tmp_path / "b.csv").write_text("gpu,t_a_ms\nh100\n")
    with pytest.raises(TraceError, match="as many cells as the header"):
        read_traces(tmp_path, check=False)
