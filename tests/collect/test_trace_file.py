from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from bayeslat.collect.knobs import Knobs
from bayeslat.collect.trace_file import TraceFile
from bayeslat.errors import InputError
from bayeslat.traces import Provenance, provenances, read_traces, write_traces
from tests.collect.rows import row_of

KEY = "epyc_1t_fp32"
ORIGIN = Provenance.model_validate(
    {
        "source": "measured",
        "gpu": {"cpu": "AMD EPYC", "threads": 1, "platform": "Linux-6"},
        "architecture": {"model_type": "qwen3_vl_moe"},
        "software": {"torch": "9.9"},
        "parameters": {"seed": 0},
        "runs": [{"started_at": "2026-01-31T11:00:00Z"}],
    }
)


def changed(part: str, name: str, value: Any) -> Provenance:
    """Return the origin with another entry."""
    told = ORIGIN.model_dump(by_alias=True)
    return Provenance.model_validate({**told, part: {**told[part], name: value}})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "new folder" / "trace.parquet"


@pytest.fixture
def other(knobs: Knobs) -> Knobs:
    return replace(knobs, top_k=1)


def test_the_file_is_whole_after_every_row(path: Path, knobs: Knobs, other: Knobs) -> None:
    trace = TraceFile(path, KEY, ORIGIN)
    assert trace.config_ids([knobs, other]) == (0, 1)
    for count, (chosen, config_id, repeat) in enumerate(
        [(knobs, 0, 0), (other, 1, 0), (knobs, 0, 1)], start=1
    ):
        trace.append(row_of(chosen, config_id, repeat, total_ms=count), repeats=2)
        frame = read_traces(path)
        assert frame["t_projector_ms"].tolist() == list(range(1, count + 1))
        assert set(frame["gpu"]) == {KEY}
    assert [file.name for file in path.parent.iterdir()] == ["trace.parquet"]
    assert trace.done(2) == {(0, 0), (1, 0), (0, 1)}
    assert trace.left([knobs, other], repeats=3) == 3


def test_a_file_is_taken_up_where_it_stopped(path: Path, knobs: Knobs, other: Knobs) -> None:
    first = TraceFile(path, KEY, ORIGIN)
    first.append(row_of(knobs, 0, 0), repeats=2)
    first.append(row_of(other, 1, 0), repeats=2)
    later = ORIGIN.model_copy(update={"runs": [{"started_at": "2026-01-31T12:00:00Z"}]})
    again = TraceFile(path, KEY, later)
    assert again.done(2) == {(0, 0), (1, 0)}
    again.append(row_of(knobs, 0, 1), repeats=2)
    frame = read_traces(path)
    assert list(zip(frame["config_id"], frame["repeat"], strict=True)) == [(0, 0), (1, 0), (0, 1)]
    origin = provenances(frame)[0]
    assert origin is not None
    runs = origin.model_dump()["runs"]
    assert [run["started_at"][11:13] for run in runs] == ["11", "12"]


def test_another_design_gets_other_ids(path: Path, knobs: Knobs, other: Knobs) -> None:
    TraceFile(path, KEY, ORIGIN).append(row_of(knobs, 0, 0), repeats=1)
    again = TraceFile(path, KEY, ORIGIN)
    third = replace(knobs, batch_size=1)
    assert again.config_ids([other, knobs, third]) == (1, 0, 2)


def test_a_task_is_a_part_of_the_configuration(path: Path, knobs: Knobs) -> None:
    asked = replace(knobs, task="qa")
    trace = TraceFile(path, KEY, ORIGIN)
    trace.append(row_of(knobs, 0, 0), repeats=1)
    trace.append(row_of(asked, 1, 0), repeats=1)
    assert TraceFile(path, KEY, ORIGIN).config_ids([asked, knobs]) == (1, 0)


def test_the_reference_is_numbered_behind_the_repeats(path: Path, knobs: Knobs) -> None:
    trace = TraceFile(path, KEY, ORIGIN)
    for repeat in (None, 0, None, 1, None):
        trace.append(row_of(knobs, 0, repeat), repeats=2)
    assert [row["repeat"] for row in trace.rows] == [2, 0, 3, 1, 4]
    assert trace.reference == knobs
    assert TraceFile(path, KEY, ORIGIN).reference == knobs


def test_what_was_too_large_is_done(path: Path, knobs: Knobs, other: Knobs) -> None:
    trace = TraceFile(path, KEY, ORIGIN)
    trace.append(row_of(knobs, 0, 0), repeats=3)
    trace.append(row_of(other, 1, 0, fits=False), repeats=3)
    again = TraceFile(path, KEY, ORIGIN)
    assert again.left([knobs, other], repeats=3) == 2
    assert {(1, repeat) for repeat in range(3)} <= again.done(3)


@pytest.mark.parametrize(
    ("part", "name", "value"),
    [
        ("software", "torch", "10.0"),
        ("parameters", "seed", 1),
        ("gpu", "threads", 2),
        ("architecture", "model_type", "llava"),
    ],
)
def test_rows_of_other_circumstances_are_not_mixed_in(
    path: Path, knobs: Knobs, part: str, name: str, value: Any
) -> None:
    TraceFile(path, KEY, ORIGIN).append(row_of(knobs, 0, 0), repeats=1)
    before = path.read_bytes()
    with pytest.raises(InputError, match=rf"trace\.parquet: .*{part}\.{name}: .*now '?{value}"):
        TraceFile(path, KEY, changed(part, name, value))
    assert path.read_bytes() == before


def test_a_new_kernel_of_the_system_is_no_other_device(path: Path, knobs: Knobs) -> None:
    TraceFile(path, KEY, ORIGIN).append(row_of(knobs, 0, 0), repeats=1)
    assert len(TraceFile(path, KEY, changed("gpu", "platform", "Linux-7")).rows) == 1


def test_rows_of_another_device_are_not_mixed_in(path: Path, knobs: Knobs) -> None:
    TraceFile(path, KEY, ORIGIN).append(row_of(knobs, 0, 0), repeats=1)
    with pytest.raises(InputError, match="'epyc_1t_fp32', not of 'epyc_2t_fp32'"):
        TraceFile(path, "epyc_2t_fp32", ORIGIN)


def test_a_trace_of_another_tool_is_not_added_to(path: Path) -> None:
    frame = pd.DataFrame({"gpu": [KEY], "t_projector_ms": [1.0]})
    write_traces(frame, path, ORIGIN)
    with pytest.raises(InputError, match="no column image_crops"):
        TraceFile(path, KEY, ORIGIN)


def test_a_file_without_provenance_is_not_added_to(path: Path, knobs: Knobs) -> None:
    path = path.with_suffix(".csv")
    TraceFile(path, KEY, ORIGIN).append(row_of(knobs, 0, 0), repeats=1)
    path.with_name("trace.csv.meta.json").unlink()
    with pytest.raises(InputError, match=r"not tell where its rows come from .*csv\.meta\.json"):
        TraceFile(path, KEY, ORIGIN)


def test_a_damaged_file_is_refused_and_left_alone(path: Path, knobs: Knobs) -> None:
    TraceFile(path, KEY, ORIGIN).append(row_of(knobs, 0, 0), repeats=1)
    path.write_bytes(path.read_bytes()[:-100])
    damaged = path.read_bytes()
    with pytest.raises(InputError, match="cut short"):
        TraceFile(path, KEY, ORIGIN)
    assert path.read_bytes() == damaged


def test_the_file_tells_drift_and_telemetry(path: Path, knobs: Knobs) -> None:
    trace = TraceFile(path, KEY, ORIGIN)
    for total_ms in (1.0, 1.1, 1.2, 1.3, 1.4):
        trace.append({**row_of(knobs, 0, None, total_ms=total_ms), "load_average": 0.5}, repeats=1)
    origin = provenances(read_traces(path))[0]
    assert origin is not None
    told = origin.model_dump()
    assert told["telemetry"]["load_average"]["median"] == 0.5
    assert told["reference_drift"]["change"] == pytest.approx(0.4, abs=0.02)


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
@pytest.mark.parametrize("step", range(6))
def test_a_file_left_in_the_middle_of_a_write_is_taken_up(
    path: Path, knobs: Knobs, monkeypatch: pytest.MonkeyPatch, suffix: str, step: int
) -> None:
    path = path.with_suffix(suffix)
    trace = TraceFile(path, KEY, ORIGIN)
    trace.append(row_of(knobs, 0, 0), repeats=3)
    # Whatever a write does to the names of files, it ends before its step number `step`.
    left = iter(range(step))
    for name in ("replace", "unlink"):
        monkeypatch.setattr(Path, name, _until(left, getattr(Path, name)))
    with suppress(KeyboardInterrupt):
        trace.append(row_of(knobs, 0, 1), repeats=3)
    monkeypatch.undo()
    again = TraceFile(path, KEY, ORIGIN)
    assert [row["repeat"] for row in again.rows] in ([0], [0, 1])
    assert len(trace.rows) <= len(again.rows)


def _until(left: Iterator[int], real: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that does as the real one until the steps are used up."""

    def call(*inputs: Any, **named: Any) -> Any:
        if next(left, None) is None:
            raise KeyboardInterrupt
        return real(*inputs, **named)

    return call


def test_rows_of_another_process_are_not_overwritten(path: Path, knobs: Knobs) -> None:
    ours, theirs = TraceFile(path, KEY, ORIGIN), TraceFile(path, KEY, ORIGIN)
    theirs.append(row_of(knobs, 0, 0), repeats=2)
    written = path.read_bytes()
    with pytest.raises(InputError, match=r"trace\.parquet: another process has written it"):
        ours.append(row_of(knobs, 0, 0), repeats=2)
    assert path.read_bytes() == written
    assert ours.rows == []


def test_a_file_that_was_taken_away_is_written_anew(path: Path, knobs: Knobs) -> None:
    trace = TraceFile(path, KEY, ORIGIN)
    trace.append(row_of(knobs, 0, 0), repeats=2)
    path.unlink()
    trace.append(row_of(knobs, 0, 1), repeats=2)
    assert read_traces(path)["repeat"].tolist() == [0, 1]
