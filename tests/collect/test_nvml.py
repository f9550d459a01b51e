"""NVML: the logic on a fake module, the names on the real one, the calls on a stub library."""

from __future__ import annotations

import inspect
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from bayeslat.collect import nvml
from bayeslat.collect.gpu_reading import GpuReading
from bayeslat.collect.nvml import NvmlGpu, Unreadable, open_gpu
from tests.collect.fake_nvml import MIG_UUID, UUID, FakeError, FakeMismatchError, FakeNvml

ROOT = Path(__file__).resolve().parents[2]
STUB = Path(__file__).with_name("stub_nvml.c")


def opened(monkeypatch: pytest.MonkeyPatch, fake: FakeNvml, uuid: str = UUID) -> Any:
    monkeypatch.setitem(sys.modules, "pynvml", fake)
    return open_gpu(uuid)


def test_a_gpu_is_described(monkeypatch: pytest.MonkeyPatch) -> None:
    assert opened(monkeypatch, FakeNvml()).identity() == {
        "name": "NVIDIA L4",
        "uuid": f"GPU-{UUID}",
        "driver_version": "580.65.06",
        "cuda_driver_version": "13.2",
        "memory_total_MiB": 23034,
        "power_limit_W": 72.0,
        "max_sm_clock_MHz": 2040.0,
        "max_mem_clock_MHz": 6251.0,
        "compute_mode": "default",
        "persistence_mode": True,
    }


def test_a_gpu_is_sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    assert opened(monkeypatch, FakeNvml()).sample() == GpuReading(
        sm_clock_MHz=1980,
        mem_clock_MHz=6251,
        power_W=71.234,
        temperature_C=61,
        throttle_reasons=("sw_power_cap",),
        other_processes=1,
    )


@pytest.mark.parametrize("name", sorted(set(FakeNvml().answers) - {"nvmlInit"}))
def test_a_call_that_is_not_supported_leaves_out_its_entry_alone(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    whole = opened(monkeypatch, FakeNvml())
    full = {**whole.identity(), **asdict(whole.sample())}
    gpu = opened(monkeypatch, FakeNvml((), **{name: FakeError("Not Supported")}))
    found = {**gpu.identity(), **{k: v for k, v in asdict(gpu.sample()).items() if v is not None}}
    missing = set(full) - set(found)
    assert len(missing) == (2 if name.endswith("ClockInfo") else 1)
    assert found == {k: v for k, v in full.items() if k not in missing}


@pytest.mark.parametrize(
    ("new", "old", "answer"),
    [
        (
            "nvmlDeviceGetCurrentClocksEventReasons",
            "nvmlDeviceGetCurrentClocksThrottleReasons",
            0x4,
        ),
        ("nvmlDeviceGetTemperatureV", "nvmlDeviceGetTemperature", 61),
        ("nvmlDeviceGetEnforcedPowerLimit", "nvmlDeviceGetPowerManagementLimit", 72000),
        (
            "nvmlDeviceGetComputeRunningProcesses",
            "nvmlDeviceGetComputeRunningProcesses_v2",
            ["own", "other"],
        ),
    ],
)
def test_an_older_name_stands_in_for_a_newer(
    monkeypatch: pytest.MonkeyPatch, new: str, old: str, answer: Any
) -> None:
    expected = opened(monkeypatch, FakeNvml())
    for fake in (
        FakeNvml(without=(new,), **{old: answer}),  # an old package
        FakeNvml(**{new: FakeMismatchError(), old: answer}),  # an old driver
    ):
        gpu = opened(monkeypatch, fake)
        assert (gpu.sample(), gpu.identity()) == (expected.sample(), expected.identity())


@pytest.mark.parametrize(("listed", "others"), [(0, 0), (1, 0), (2, 1), (5, 4)])
def test_one_listed_process_is_this_one(
    monkeypatch: pytest.MonkeyPatch, listed: int, others: int
) -> None:
    fake = FakeNvml(nvmlDeviceGetComputeRunningProcesses=[object()] * listed)
    assert opened(monkeypatch, fake).sample().other_processes == others


def test_a_mig_instance_tells_its_clocks_through_its_board(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeNvml(nvmlDeviceGetDeviceHandleFromMigDeviceHandle="board")
    gpu = opened(monkeypatch, fake, MIG_UUID)
    assert (gpu.handle, gpu.board) == (f"MIG-{MIG_UUID}", "board")
    lost = FakeNvml(nvmlDeviceGetDeviceHandleFromMigDeviceHandle=FakeError())
    gpu = opened(monkeypatch, lost, MIG_UUID)
    assert gpu.board == gpu.handle


def test_a_gpu_that_nvml_does_not_know_is_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    reason = "NVML does not open GPU-elsewhere: Not Found"
    assert opened(monkeypatch, FakeNvml(), "elsewhere") == Unreadable(reason)


def test_a_missing_package_is_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    gpu = open_gpu(UUID)
    assert isinstance(gpu, Unreadable)
    assert "pip install nvidia-ml-py" in gpu.reason


def test_a_missing_driver_is_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeNvml(nvmlInit=FakeError("Shared Library Not Found"))
    assert opened(monkeypatch, fake) == Unreadable("NVML does not start: Shared Library Not Found")


def pynvml() -> Any:
    return pytest.importorskip("pynvml", reason="nvidia-ml-py (extra 'collect') is not installed")


def test_every_name_is_one_of_pynvml() -> None:
    # nvml.h itself is named in a comment.
    names = set(re.findall(r"\b(?:nvml[A-Z]\w+|NVML(?:_|Error|Lib)\w*)", inspect.getsource(nvml)))
    names.remove("nvmlComputeMode_t")
    assert len(names) > 20
    assert not {name for name in names if not hasattr(pynvml(), name)}


def test_compute_modes_have_the_numbers_of_pynvml() -> None:
    module = pynvml()
    for number, name in nvml._COMPUTE_MODES.items():
        assert getattr(module, f"NVML_COMPUTEMODE_{name.upper()}") == number


def test_without_a_driver_the_real_package_gives_a_reason() -> None:
    pynvml()
    # A process of its own: pynvml keeps a library that it has once loaded.
    printed = run_with(os.environ, "print(open_gpu('one'))")
    if "NvmlGpu" in printed or "does not open" in printed:
        pytest.skip("this machine has a driver")
    assert printed == "Unreadable(reason='NVML does not start: NVML Shared Library Not Found')"


@pytest.fixture(scope="module", params=["new", "old"])
def stub_environment(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, str]:
    """Return an environment in which the real pynvml loads the stub library."""
    pynvml()
    gcc = shutil.which("gcc")
    if gcc is None or sys.platform != "linux":
        pytest.skip("needs gcc on Linux to compile the stub library")
    folder = tmp_path_factory.mktemp(request.param)
    flags = ["-shared", "-fPIC", *(["-DOLD_DRIVER"] if request.param == "old" else [])]
    library = folder / "libnvidia-ml.so.1"
    subprocess.run([gcc, *flags, "-o", str(library), str(STUB)], check=True)
    libraries = f"{folder}:{os.environ.get('LD_LIBRARY_PATH', '')}"
    return {**os.environ, "LD_LIBRARY_PATH": libraries, "STUB": request.param}


def run_with(environment: Any, code: str) -> str:
    """Return what a line of code prints in a process of its own."""
    header = "import json, dataclasses\nfrom bayeslat.collect.nvml import open_gpu\n"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", header + code],
        env={**environment, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


SHOW = "gpu = open_gpu({uuid!r}); print(json.dumps([gpu.identity(), vars(gpu.sample())]))"
WHOLE_GPU = {
    "name": "NVIDIA Stub",
    "uuid": "GPU-one",
    "driver_version": "580.65.06",
    "cuda_driver_version": "13.2",
    "memory_total_MiB": 81559,
    "power_limit_W": 700.0,
    "max_sm_clock_MHz": 1980.0,
    "max_mem_clock_MHz": 2619.0,
    "compute_mode": "exclusive_process",
}
READINGS = {
    "new": {"temperature_C": 64, "throttle_reasons": ["sw_power_cap", "hw_power_brake"]},
    "old": {"temperature_C": 55, "throttle_reasons": ["hw_thermal_slowdown"]},
}
COMMON = {"sm_clock_MHz": 1755, "mem_clock_MHz": 2600, "power_W": 350.25}


def test_values_come_through_the_real_pynvml(stub_environment: dict[str, str]) -> None:
    driver = stub_environment["STUB"]
    identity, reading = json.loads(run_with(stub_environment, SHOW.format(uuid="one")))
    assert identity == WHOLE_GPU
    others = {"new": 2, "old": 1}[driver]
    assert reading == {**COMMON, **READINGS[driver], "other_processes": others}


def test_a_mig_instance_comes_through_the_real_pynvml(stub_environment: dict[str, str]) -> None:
    identity, reading = json.loads(run_with(stub_environment, SHOW.format(uuid="part")))
    part = {"name": "NVIDIA Stub MIG 1g.10gb", "uuid": "MIG-part", "memory_total_MiB": 9856}
    assert identity == WHOLE_GPU | part
    assert reading == {**COMMON, **READINGS[stub_environment["STUB"]], "other_processes": 0}


def test_an_unknown_gpu_is_a_reason_of_the_real_pynvml(stub_environment: dict[str, str]) -> None:
    printed = run_with(stub_environment, "print(open_gpu('two').reason)")
    assert printed.startswith("NVML does not open GPU-two: ")
    assert "ound" in printed


def test_a_real_gpu_tells_its_state(torch: Any) -> None:
    pynvml()
    if not torch.cuda.is_available():
        pytest.skip("torch finds no GPU")
    properties = torch.cuda.get_device_properties(0)
    held = torch.zeros(1, device="cuda:0")  # a context, as a model has one
    gpu = open_gpu(str(properties.uuid))
    assert isinstance(gpu, NvmlGpu)
    assert gpu.identity()["name"] == properties.name
    reading = gpu.sample()
    assert reading.sm_clock_MHz is not None
    assert 0 < reading.sm_clock_MHz < 10_000
    assert reading.power_W is None or 1 < reading.power_W < 5_000
    assert reading.other_processes is not None
    del held
