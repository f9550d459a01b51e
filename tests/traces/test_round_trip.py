"""What is written is read back; what was cut short is not."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bayeslat.errors import TraceError
from bayeslat.traces import Provenance, provenances, read_traces, write_traces

PROVENANCE = Provenance(source="simulated", parameters={"seed": 1})

# A letter in front keeps CSV, which has no types, from taking a text for a number.
_TEXT = st.text(max_size=8).map(lambda text: f"x{text}")
_NAME = st.text(min_size=1, max_size=8).map(lambda text: f"k{text}k")
_CELLS: tuple[st.SearchStrategy[object], ...] = (
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.one_of(st.floats(), st.none()),
    _TEXT,
    st.one_of(_TEXT, st.just("")),
    st.one_of(_TEXT, st.none()),
    st.booleans(),
)


@st.composite
def frames(draw: st.DrawFn) -> pd.DataFrame:
    """Draw a trace with extra columns of any name and type."""
    n_rows = draw(st.integers(1, 6))
    latency = st.one_of(st.floats(1e-300, 1e300), st.just(np.nan))
    columns: dict[str, pd.Series] = {
        "gpu": pd.Series(draw(st.lists(_TEXT, min_size=n_rows, max_size=n_rows)), dtype="str"),
        "t_a_ms": pd.Series(draw(st.lists(latency, min_size=n_rows, max_size=n_rows)), dtype=float),
    }
    for name in draw(st.lists(_NAME, unique=True, max_size=4)):
        cells = draw(st.lists(draw(st.sampled_from(_CELLS)), min_size=n_rows, max_size=n_rows))
        columns[name] = pd.Series(cells)
    order = draw(st.permutations(list(columns)))
    return pd.DataFrame({name: columns[name] for name in order})


def _same(read: pd.DataFrame, written: pd.DataFrame, *, typed: bool) -> None:
    """Compare two frames; a format without types takes 1.0 for 1, and only empty text for none."""
    assert read.columns.tolist() == written.columns.tolist()
    for name in written.columns:
        there, here = read[name], written[name]
        if not typed and (here.isna() | (here == "")).all():
            assert there.isna().all()
            continue
        assert there.isna().tolist() == here.isna().tolist()
        assert there.dropna().tolist() == here.dropna().tolist()
        if typed and here.notna().all():
            assert there.dtype == here.dtype


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".jsonl"])
@given(frame=frames())
def test_round_trip(suffix: str, frame: pd.DataFrame) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"a{suffix}"
        write_traces(frame, path, PROVENANCE)
        read = read_traces(path, check=False)
        write_traces(read, path, PROVENANCE)
        again = read_traces(path, check=False)
    _same(read, frame, typed=suffix != ".csv")
    pd.testing.assert_frame_equal(again, read)
    assert provenances(again) == (PROVENANCE,)
    assert (
        again.attrs
        == read.attrs
        == {
            "bayeslat": {
                "sources": [[str(path), 0, len(frame)]],
                "provenance": [PROVENANCE.model_dump(mode="json", by_alias=True)],
            }
        }
    )


def _parquet() -> bytes:
    """Return a whole Parquet file."""
    frame = pd.DataFrame({"gpu": ["h100"] * 300, "k": range(300), "t_a_ms": np.arange(1.0, 301.0)})
    with tempfile.TemporaryDirectory() as folder:
        write_traces(frame, Path(folder) / "a.parquet", PROVENANCE)
        return (Path(folder) / "a.parquet").read_bytes()


WHOLE = _parquet()


@given(length=st.integers(0, len(WHOLE) - 1))
@example(length=1)  # not so many bytes as tell Parquet from text
@example(length=4)
def test_every_truncation_of_parquet_is_detected(length: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.parquet"
        path.write_bytes(WHOLE[:length])
        with pytest.raises(TraceError, match="it is damaged or cut short, copy it again"):
            read_traces(path)


def _read_or_refused(path: Path, *, check: bool) -> pd.DataFrame | None:
    """Return the frame, or None after an error that names the file."""
    try:
        return read_traces(path, check=check)
    except TraceError as error:
        if str(path) not in str(error):
            raise
        return None


@given(position=st.integers(0, len(WHOLE) - 1), change=st.integers(1, 255))
def test_damaged_parquet_is_never_another_error(position: int, change: int) -> None:
    damaged = bytearray(WHOLE)
    damaged[position] ^= change
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.parquet"
        path.write_bytes(damaged)
        _read_or_refused(path, check=False)


@given(content=st.binary(max_size=60), suffix=st.sampled_from([".csv", ".jsonl", ".parquet"]))
def test_any_bytes_are_refused(content: bytes, suffix: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"a{suffix}"
        path.write_bytes(content)
        assert _read_or_refused(path, check=True) is None


@given(text=st.text(alphabet='ab1,"\n\r\t ;.-', max_size=40))
def test_any_csv_text_is_read_or_refused(text: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.csv"
        path.write_text(f"gpu,t_a_ms\n{text}", newline="")
        frame = _read_or_refused(path, check=True)
    assert frame is None or frame["t_a_ms"].dropna().gt(0).all()
