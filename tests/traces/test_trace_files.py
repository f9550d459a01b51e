"""Which files a trace was read from, with their rows and provenance."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from bayeslat.traces import read_traces, write_traces
from bayeslat.traces.provenance import Provenance, trace_files
from tests.posteriors import make_frame


def test_each_file_is_told_with_its_rows_and_provenance(tmp_path: Path) -> None:
    frame = make_frame(0, ("a100_sxm", "h100_sxm"), rows=5).reset_index(drop=True)
    one, other = tmp_path / "a file & more.parquet", tmp_path / "b.csv"
    stated = Provenance(source="measured", tool="tool 1.0")
    write_traces(frame.head(5), one, stated)
    pd.DataFrame(frame.tail(5)).to_csv(other, index=False)  # without provenance
    found = trace_files(read_traces(one, other))
    assert found == ((str(one), 5, stated), (str(other), 5, None))


def test_a_table_that_was_not_read_has_no_files() -> None:
    assert trace_files(pd.DataFrame({"gpu": ["l40s"]})) == ()
