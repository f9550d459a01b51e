from __future__ import annotations

from pathlib import Path

import pandas as pd

from bayeslat.traces.trace_record import TraceRecord


def test_a_selection_keeps_the_origin_itself_and_a_plain_dict_would_be_copied() -> None:
    frame = pd.DataFrame({"a": [1, 2, 3], "b": [4, 5, 6]})
    frame.attrs["bayeslat"] = TraceRecord(sources=[["a.csv", 0, 3]], provenance=[None])
    frame.attrs["plain"] = {"sources": [["a.csv", 0, 3]]}
    for part in (frame["a"], frame.iloc[1:], frame[frame["a"] > 1]):
        assert part.attrs["bayeslat"] is frame.attrs["bayeslat"]
        assert part.attrs["plain"] is not frame.attrs["plain"]


def test_pandas_writes_it_as_a_dict(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": [1, 2, 3]})
    held = {"sources": [["a.csv", 0, 3]], "provenance": [None]}
    frame.attrs["bayeslat"] = TraceRecord(held)
    frame.to_parquet(tmp_path / "a.parquet")
    assert pd.read_parquet(tmp_path / "a.parquet").attrs == {"bayeslat": held}
