"""The header and the data of BLIS traces."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest

from bayeslat.errors import TraceError
from bayeslat.traces.importers.convert import Settings, import_traces
from bayeslat.traces.importers.registry import find_importer
from tests.traces.importers.cases import HEADER, write_case
from tests.traces.importers.workload import make_requests


@pytest.mark.parametrize(
    "header",
    [
        "version: 2\ndate: 2026-02-30\n",  # PyYAML raises errors of Python's own
        "trace_version: 2\nwhen: 2026-01-01T99:00:00\n",
        "[" * 10_000,
        "a: [",
    ],
)
def test_a_header_that_is_no_yaml_is_refused(header: str, tmp_path: Path) -> None:
    path = tmp_path / "trace.yaml"
    path.write_text(header, encoding="utf-8")
    path.with_suffix(".csv").write_text("request_id\n1\n", encoding="utf-8")
    with pytest.raises(TraceError, match=r"(?s)trace\.yaml.*is no YAML \(.+name the header"):
        import_traces(find_importer("blis_trace"), [path], tmp_path / "o.csv", Settings("l40s"))


def test_a_header_that_counts_warm_ups_takes_no_row_away(tmp_path: Path) -> None:
    """BLIS does not record them, and writes the others in the order in which they ended."""
    data = write_case("blis_trace", tmp_path, make_requests(12))
    header, *lines = data.read_text(encoding="utf-8").splitlines(keepends=True)
    data.write_text("".join([header, *reversed(lines[3:])]), encoding="utf-8")
    counted = HEADER.replace("warm_up_requests: 0", "warm_up_requests: 3")
    data.with_suffix(".yaml").write_text(counted, encoding="utf-8")
    found = import_traces(
        find_importer("blis_trace"), [data], tmp_path / "o.parquet", Settings("l40s")
    )
    assert found.refused == {}
    frame = pd.read_parquet(tmp_path / "o.parquet")
    assert sorted(map(int, frame["request_id"])) == list(range(3, 12))


@pytest.mark.parametrize(
    ("factor", "origin", "told"),
    [(1e-3, 0, r"answers would take 0\.0\d+ ms a token"), (1e3, 1.79e15, "sent at 1.79e.18 µs")],
)
def test_times_in_another_unit_than_the_header_says_are_refused(
    factor: float, origin: float, told: str, tmp_path: Path
) -> None:
    path = write_case("blis_trace", tmp_path, make_requests(12))
    table = pd.read_csv(path)
    for name in ("send_time_us", "first_chunk_time_us", "last_chunk_time_us"):
        table[name] = (factor * (table[name] + origin)).astype("int64")
    table.to_csv(path, index=False)
    with pytest.raises(TraceError, match=rf"its times are no µs: .*{told}"):
        import_traces(find_importer("blis_trace"), [path], tmp_path / "o.parquet", Settings("l40s"))


def test_runs_with_the_same_header_are_no_copies(tmp_path: Path) -> None:
    for name, seed in (("a", 5), ("b", 6)):
        write_case("blis_trace", tmp_path / name, make_requests(12, seed=seed))
    shutil.copytree(tmp_path / "b", tmp_path / "c")
    found = import_traces(
        find_importer("blis_trace"), [tmp_path], tmp_path / "o.parquet", Settings("l40s")
    )
    assert found.n_rows == 24
    assert [file.parent.name for file in found.files] == ["a", "b"]
