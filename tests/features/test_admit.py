"""What a trace must be for a spec: every violation by file, row and column, at once."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from bayeslat.errors import HardwareError, TraceError
from bayeslat.features.admit import (
    admit,
    admit_configs,
    find_violations,
    resolve_gpus,
)
from bayeslat.features.hardware import load_hardware
from bayeslat.features.spec import Spec
from bayeslat.traces import Violation, drop_invalid

SPEC = Spec.from_text(
    """
    name = "tiny"
    knobs = ["size", "runs"]
    [stages.first]
    column = "lat"
    times = "runs"
    [stages.first.physics]
    work = "size / bf16_tflops"
    launch = "1"
    [stages.second.physics]
    launch = "where(task == 'qa', 1, 2)"
    """
)
HARDWARE = load_hardware()


def trace(**columns: object) -> pd.DataFrame:
    frame = pd.DataFrame(
        {
            "gpu": ["h100_sxm"] * 2 + ["l40s"] * 2,
            "task": "qa",
            "size": [1.0, 2.0, 3.0, 4.0],
            "runs": 2,
            "lat": [1.0, 2.0, 3.0, 4.0],
        }
    )
    return frame.assign(**columns)  # type: ignore[arg-type]


def found(frame: pd.DataFrame) -> tuple[Violation, ...]:
    return find_violations(frame, SPEC, HARDWARE)


def places(frame: pd.DataFrame) -> set[tuple[str | None, tuple[int, ...]]]:
    return {(violation.column, violation.rows) for violation in found(frame)}


def test_a_column_of_a_spec_is_a_latency_whatever_it_is_called() -> None:
    assert found(trace()) == ()
    assert admit(trace(), SPEC, HARDWARE)["lat"].tolist() == [1.0, 2.0, 3.0, 4.0]


@pytest.mark.parametrize("cell", [-1.0, 0.0, np.inf, "fast", True])
def test_its_cells_keep_the_rules_of_latencies(cell: object) -> None:
    (violation,) = found(trace(lat=pd.Series([1.0, cell, 3.0, 4.0], dtype=object)))
    assert (violation.column, violation.rows) == ("lat", (2,))
    assert violation.message.startswith("a latency must be")


def test_rows_that_differ_in_it_alone_are_duplicates() -> None:
    (violation,) = found(trace(size=1.0))
    assert violation.rows == (2, 4)


def test_without_any_latency_the_columns_of_the_spec_are_named() -> None:
    (violation,) = found(trace().drop(columns="lat"))
    assert violation.message.startswith("no latency column lat, t_second_ms; add one")
    (violation,) = found(trace(t_third_ms=1.0).drop(columns="lat"))
    assert violation.message.endswith("it needs one of lat, t_second_ms")


def test_one_violation_hides_no_other() -> None:
    frame = trace(
        size=pd.Series([1.0, "two", -3.0, 4.0], dtype=object),
        runs=[-1, 1, 1, 1],
        lat=[1.0, 2.0, 3.0, -1.0],
    )
    assert places(frame) == {("size", (2,)), ("size", (3,)), ("runs", (1,)), ("lat", (4,))}
    # Without the column `gpu` nobody can evaluate physics; the rest is told all the same.
    assert places(frame.drop(columns="gpu")) == {
        ("gpu", ()),
        ("size", (2,)),
        ("runs", (1,)),
        ("lat", (4,)),
    }
    cured = frame.assign(runs=1)
    kept, dropped = drop_invalid(cured, found(cured))
    assert (kept.index.tolist(), dropped.index.tolist()) == ([0], [1, 2, 3])


def test_one_gpu_under_two_names_is_one_gpu() -> None:
    frame = trace(gpu=["h100", "h100_sxm", "H100 SXM", "l40s"])
    assert resolve_gpus(frame, HARDWARE)["gpu"].tolist() == ["h100_sxm"] * 3 + ["l40s"]
    assert places(frame.assign(config_id=[0, 1, 0, 0])) == {(None, (3,))}


def test_the_unit_is_judged_over_all_names_of_a_gpu() -> None:
    frame = trace(gpu=["h100", "h100_sxm", "h100_sxm", "h100_sxm"], lat=[1e-3, 1.0, 2.0, 3.0])
    assert found(frame) == ()  # every row of one name, but one of four rows of the GPU
    assert places(frame.assign(lat=[1e-3, 1e-3, 1e-3, 3.0])) == {("lat", (1, 2, 3))}


def test_without_a_gpu_no_row_is_a_duplicate() -> None:
    frame = pd.concat([trace(), trace()], ignore_index=True).assign(config_id=[0, 1, 2, 3] * 2)
    assert places(frame.drop(columns="gpu")) == {("gpu", ())}
    frame["gpu"] = frame["gpu"].where(frame.index < 4, None).where(frame.index < 6, " ")
    assert places(frame) == {("gpu", (5, 6, 7, 8))}
    assert places(frame.assign(gpu=3)) == {("gpu", (1, 2, 3, 4, 5, 6, 7, 8))}


def test_a_spec_that_names_the_task_needs_one_in_every_row() -> None:
    assert places(trace(task=["qa", None, "ocr", " "])) == {("task", (2, 4))}
    assert places(trace().drop(columns="task")) == {("task", ())}
    with pytest.raises(TraceError, match=r"row 2, column 'task': the spec names `task`"):
        admit_configs(trace(task=["qa", None, "ocr", "qa"]), SPEC, [HARDWARE.resolve("l40s")])


def test_a_gpu_that_lacks_a_field_is_told_with_the_lines_to_add() -> None:
    (violation,) = found(trace(gpu=["h100_sxm", "t4", "l40s", "t4"]))
    assert (violation.column, violation.rows) == ("gpu", (2, 4))
    assert "GPU 't4' has no bf16_tflops" in violation.message
    assert "[gpus.t4]\nbf16_tflops = 0" in violation.message
    with pytest.raises(HardwareError, match="GPU 't4' has no bf16_tflops"):
        admit_configs(trace(), SPEC, [HARDWARE.resolve("t4")])


def test_columns_that_cannot_be_told_apart_are_told_alone() -> None:
    twice = pd.concat([trace(), trace()[["gpu", "size"]]], axis="columns")
    assert places(twice) == {("gpu", ()), ("size", ())}
    with pytest.raises(TraceError, match="column names must be unique"):
        admit_configs(twice, SPEC, [HARDWARE.resolve("l40s")])
