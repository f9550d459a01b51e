from __future__ import annotations

import json
import sys
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from bayeslat.collect import telemetry
from bayeslat.collect.telemetry import open_telemetry, summarise_telemetry
from tests.collect.fake_nvml import UUID, FakeError, FakeNvml

GPU_COLUMNS = {
    "sm_clock_MHz": 1980.0,
    "mem_clock_MHz": 6251.0,
    "power_W": 71.234,
    "temperature_C": 61.0,
    "throttle_reasons": "sw_power_cap",
    "throttled": True,
    "other_processes": 1,
    "shared": True,
}
PROPERTIES = SimpleNamespace(
    name="NVIDIA L4",
    uuid=UUID,
    total_memory=22563 * 2**20,
    major=8,
    minor=9,
    multi_processor_count=58,
)


@pytest.fixture
def fake_torch(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Let torch know one GPU, and return the devices that it is asked for."""
    asked: list[str] = []

    def get_device_properties(device: str) -> Any:
        asked.append(device)
        if device == "cuda:7":
            raise AssertionError("Invalid device id")
        return PROPERTIES

    module = SimpleNamespace(cuda=SimpleNamespace(get_device_properties=get_device_properties))
    monkeypatch.setattr(telemetry, "load_torch", lambda: module)
    return asked


def use_nvml(monkeypatch: pytest.MonkeyPatch, fake: FakeNvml | None) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", fake)


def watched(device: str) -> dict[str, Any]:
    with open_telemetry(device).watching() as columns:
        assert columns == {}
    return columns


def test_a_cpu_has_its_identity_and_columns() -> None:
    opened = open_telemetry("cpu")
    assert opened.problem is None
    assert {"cpu", "cores"} <= set(opened.identity())
    columns = watched("cpu")
    assert columns["load_average"] >= 0
    assert columns["preemptions"] >= 0
    if sys.platform != "linux":
        return
    with opened.watching() as columns:
        sum(range(2_000_000))  # long enough for a tick of the kernel
    assert set(columns) == {"load_average", "others_cpu", "steal", "preemptions", "shared"}
    assert isinstance(columns["shared"], bool)
    json.dumps(opened.identity())


def test_an_opened_telemetry_watches_row_after_row() -> None:
    opened = open_telemetry("cpu")
    with opened.watching() as first:
        pass
    with opened.watching() as second:
        pass
    assert first is not second


def test_a_gpu_has_its_identity_and_columns(
    monkeypatch: pytest.MonkeyPatch, fake_torch: list[str]
) -> None:
    use_nvml(monkeypatch, FakeNvml())
    opened = open_telemetry("cuda:0")
    assert fake_torch == ["cuda:0"]
    assert opened.problem is None
    identity = opened.identity()
    assert identity["driver_version"] == "580.65.06"
    assert identity["memory_total_MiB"] == 23034  # the driver's word, not CUDA's
    assert identity["compute_capability"] == "8.9"
    assert isinstance(identity["host"], dict)
    json.dumps(identity)
    columns = watched("cuda:0")
    assert columns.pop("load_average") >= 0
    assert columns == GPU_COLUMNS


@pytest.mark.parametrize(
    ("fake", "reason"),
    [
        (None, "pynvml is not installed"),
        (FakeNvml(nvmlInit=FakeError("no library")), "no library"),
    ],
)
def test_a_gpu_without_nvml_stops_nothing(
    monkeypatch: pytest.MonkeyPatch, fake_torch: list[str], fake: FakeNvml | None, reason: str
) -> None:
    use_nvml(monkeypatch, fake)
    opened = open_telemetry("cuda")
    assert opened.problem is not None
    assert reason in opened.problem
    assert opened.identity()["name"] == "NVIDIA L4"
    assert opened.identity()["uuid"] == UUID
    assert set(watched("cuda")) == {"load_average"}


@pytest.mark.parametrize("device", ["cuda:7", "mps"])
def test_a_device_that_cannot_be_read_stops_nothing(fake_torch: list[str], device: str) -> None:
    opened = open_telemetry(device)
    assert opened.problem is not None
    assert device in opened.problem
    assert set(opened.identity()) == {"host"}
    assert set(watched(device)) == {"load_average"}


def test_a_machine_without_a_gpu_stops_nothing(torch: Any) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    opened = open_telemetry("cuda")
    assert opened.problem is not None
    assert "cuda" in opened.problem


def test_a_real_gpu_tells_its_state(torch: Any) -> None:
    if not torch.cuda.is_available():
        pytest.skip("torch finds no GPU")
    held = torch.zeros(1, device="cuda")
    opened = open_telemetry("cuda")
    assert opened.problem is None
    with opened.watching() as columns:
        pass
    assert {"sm_clock_MHz", "throttled", "other_processes", "shared"} <= set(columns)
    del held


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_a_measurement_that_fails_leaves_no_columns(
    monkeypatch: pytest.MonkeyPatch, fake_torch: list[str], device: str
) -> None:
    use_nvml(monkeypatch, FakeNvml())
    seen: list[dict[str, Any]] = []

    def run_out_of_memory() -> None:
        with open_telemetry(device).watching() as columns:
            seen.append(columns)
            raise MemoryError

    with pytest.raises(MemoryError):
        run_out_of_memory()
    assert seen == [{}]


def test_a_summary_has_ranges_and_counts() -> None:
    frame = pd.DataFrame(
        {
            "load_average": [1.0, 3.0, 2.0, 9.0],
            "power_W": [70.0, None, 71.0, None],
            "temperature_C": [None, None, None, None],
            "throttle_reasons": ["", "sw_power_cap", "", ""],
            "throttled": [False, True, None, False],  # a row that did not tell
            "shared": [True, True, False, True],
            "t_llm_prefill_ms": [1.0, 1.0, 1.0, 1.0],
        }
    )
    assert summarise_telemetry(frame) == {
        "load_average": {"min": 1.0, "median": 2.5, "max": 9.0},
        "power_W": {"min": 70.0, "median": 70.5, "max": 71.0},
        "throttled_rows": 1,
        "shared_rows": 3,
    }


@pytest.mark.parametrize("values", [[True, False, None], ["True", "False", None], [True, False]])
def test_marks_are_counted_as_any_file_gives_them_back(values: list[Any]) -> None:
    assert summarise_telemetry(pd.DataFrame({"shared": values})) == {"shared_rows": 1}


def test_a_trace_without_telemetry_has_an_empty_summary() -> None:
    assert summarise_telemetry(pd.DataFrame({"gpu": ["l4"]})) == {}
    assert summarise_telemetry(pd.DataFrame()) == {}


def test_a_summary_of_watched_rows_is_json() -> None:
    rows = [watched("cpu") for _ in range(3)]
    summary = summarise_telemetry(pd.DataFrame(rows))
    assert json.loads(json.dumps(summary)) == summary
    assert {"load_average", "preemptions"} <= set(summary)
