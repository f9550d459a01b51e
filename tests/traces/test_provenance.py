from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

import pandas as pd
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from bayeslat.traces import Provenance, provenances, read_traces, row_sources, write_traces
from bayeslat.traces.provenance import parse_provenance, sidecar_path

FULL = Provenance(
    source="measured",
    collected_at="2026-01-31T12:00:00Z",
    tool="bayeslat 0.1.0",
    gpu={"name": "NVIDIA H100 80GB HBM3", "uuid": "GPU-é"},
    architecture={"hidden": 2048},
    software={"torch": "2.15"},
    parameters={"seed": 7, "tau": [0.1, 0.2]},
)


def test_json_names_the_schema() -> None:
    stored = json.loads(FULL.to_json())
    assert stored["schema"] == "1"
    assert "schema_version" not in stored
    assert parse_provenance(FULL.to_json()) == FULL


def test_fields_of_other_tools_are_kept() -> None:
    text = b'{"schema": 1, "source": "composed", "licence": "MIT"}'
    provenance = parse_provenance(text)
    assert provenance.schema_version == "1"
    assert json.loads(provenance.to_json())["licence"] == "MIT"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"{}", "source: Field required"),
        (b'{"source": "guess"}', "source: Input should be 'measured'"),
        (b'{"source": "measured", "schema": "9"}', "schema: Input should be '1'"),
        (b'{"source": "measured", "software": {"torch": 2}}', "software.torch: "),
        (b"[]", "provenance: "),
        (b"\xff", "provenance: Invalid JSON"),
    ],
)
def test_malformed_provenance_names_the_field(text: bytes, expected: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        parse_provenance(text)
    assert expected in str(caught.value)


def test_provenance_is_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        FULL.tool = "other"  # type: ignore[misc]


@pytest.mark.parametrize("name", ["a.parquet", "a.pq", "a.csv", "a.jsonl"])
def test_provenance_travels_with_the_file(name: str, trace: pd.DataFrame, tmp_path: Path) -> None:
    write_traces(trace, tmp_path / name, FULL)
    frame = read_traces(tmp_path)
    assert provenances(frame) == (FULL,)
    assert provenances(frame[frame["batch_size"] > 1]) == (FULL,)
    assert sidecar_path(tmp_path / name).exists() == (name in {"a.csv", "a.jsonl"})


def test_parquet_metadata_is_plain_json(trace: pd.DataFrame, tmp_path: Path) -> None:
    trace.attrs["secret"] = "not written"
    write_traces(trace, tmp_path / "a.parquet", FULL)
    metadata = pq.read_metadata(tmp_path / "a.parquet").metadata
    assert json.loads(metadata[b"bayeslat"])["source"] == "measured"
    assert b"secret" not in b"".join(metadata.values())


def test_each_file_has_its_own(trace: pd.DataFrame, tmp_path: Path) -> None:
    write_traces(trace, tmp_path / "a.parquet", FULL)
    write_traces(trace.assign(stack="other"), tmp_path / "b.parquet")
    frame = read_traces(tmp_path)
    assert provenances(frame) == (FULL, None)
    json.dumps(frame.attrs)
    assert provenances(trace) == ()


def test_provenance_of_an_earlier_trace_does_not_stay(trace: pd.DataFrame, tmp_path: Path) -> None:
    write_traces(trace, tmp_path / "a.csv", FULL)
    write_traces(trace, tmp_path / "a.csv")
    assert provenances(read_traces(tmp_path)) == (None,)
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]


def test_kinds_are_those_of_the_files_that_hold_rows(trace: pd.DataFrame, tmp_path: Path) -> None:
    kinds: dict[str, Literal["measured", "simulated"] | None] = {
        "a.parquet": "measured",
        "b.csv": "simulated",
        "c.csv": None,
    }
    for name, kind in kinds.items():
        write_traces(trace, tmp_path / name, Provenance(source=kind) if kind else None)
    frame = read_traces(tmp_path, check=False)
    assert row_sources(frame) == ("measured", "simulated", "unknown")
    assert row_sources(frame.iloc[6:12]) == ("simulated",)
    assert row_sources(frame.iloc[[13, 0]]) == ("measured", "unknown")
    assert row_sources(frame.set_axis(["?"] * 18)) == ("measured", "simulated", "unknown")
    assert row_sources(trace) == ("unknown",)
