from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from bayeslat.collect.collection import Plan, Row
from bayeslat.collect.knobs import Knobs
from bayeslat.collect.trace_file import TraceFile, describe
from bayeslat.errors import InputError
from bayeslat.traces import Provenance, provenances, read_traces

ORIGIN = Provenance(source="measured", software={"torch": "9.9"}, parameters={"seed": 0})


@pytest.fixture
def plan(config_path: Path, knobs: Knobs) -> Plan:
    return Plan("epyc_1t_fp32", config_path, (knobs, replace(knobs, top_k=1)))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "new folder" / "trace.parquet"


def row_of(plan: Plan, config_id: int, repeat: int) -> Row:
    return {
        "gpu": plan.device_key,
        "config_id": config_id,
        "repeat": repeat,
        **asdict(plan.design[config_id]),
        "t_projector_ms": 1.5 + config_id + repeat,
    }


def test_the_file_is_whole_after_every_row(plan: Plan, path: Path) -> None:
    trace = TraceFile(path, plan, ORIGIN)
    for count, (config_id, repeat) in enumerate([(0, 0), (1, 0), (0, 1)], start=1):
        trace.append(row_of(plan, config_id, repeat))
        frame = read_traces(path)
        assert len(frame) == count
        assert frame["t_projector_ms"].iloc[-1] == 1.5 + config_id + repeat
        assert provenances(frame) == (ORIGIN,)
    assert [file.name for file in path.parent.iterdir()] == ["trace.parquet"]


def test_a_file_is_taken_up_where_it_stopped(plan: Plan, path: Path) -> None:
    first = TraceFile(path, plan, ORIGIN)
    first.append(row_of(plan, 0, 0))
    first.append(row_of(plan, 1, 0))
    later = ORIGIN.model_copy(update={"collected_at": "2026-01-31T12:00:00Z"})
    again = TraceFile(path, plan, later)
    assert again.done == {(0, 0), (1, 0)}
    again.append(row_of(plan, 0, 1))
    frame = read_traces(path)
    assert list(zip(frame["config_id"], frame["repeat"], strict=True)) == [(0, 0), (1, 0), (0, 1)]


@pytest.mark.parametrize(
    ("part", "value"),
    [("software", {"torch": "10.0"}), ("parameters", {"seed": 1}), ("gpu", {"threads": 2})],
)
def test_rows_of_another_origin_are_not_mixed_in(
    plan: Plan, path: Path, part: str, value: Any
) -> None:
    TraceFile(path, plan, ORIGIN).append(row_of(plan, 0, 0))
    with pytest.raises(InputError, match=rf"trace\.parquet: .*another {part};"):
        TraceFile(path, plan, ORIGIN.model_copy(update={part: value}))


def test_rows_of_another_device_are_not_mixed_in(plan: Plan, path: Path) -> None:
    TraceFile(path, plan, ORIGIN).append(row_of(plan, 0, 0))
    with pytest.raises(InputError, match="'epyc_1t_fp32', not of 'epyc_2t_fp32'"):
        TraceFile(path, replace(plan, device_key="epyc_2t_fp32"), ORIGIN)


def test_rows_of_another_design_are_not_mixed_in(plan: Plan, path: Path, knobs: Knobs) -> None:
    TraceFile(path, plan, ORIGIN).append(row_of(plan, 0, 0))
    with pytest.raises(InputError, match="config 0 has other knobs"):
        TraceFile(path, replace(plan, design=(replace(knobs, top_k=2),)), ORIGIN)


def test_the_origin_tells_device_model_and_software(transformers: Any, plan: Plan) -> None:
    origin = describe(replace(plan, threads=2, dtype="bfloat16"))
    assert origin.source == "measured"
    assert isinstance(origin.gpu, dict)
    assert (origin.gpu["threads"], origin.gpu["dtype"]) == (2, "bfloat16")
    assert isinstance(origin.architecture, dict)
    assert origin.architecture["model_type"] == "qwen3_vl_moe"
    assert origin.software["transformers"] == transformers.__version__
    assert origin.collected_at is not None
