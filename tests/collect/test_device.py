from __future__ import annotations

import os
from types import SimpleNamespace
from typing import Any

import pytest

from bayeslat.collect import device as module
from bayeslat.collect.device import (
    choose_device,
    choose_threads,
    gpu_key,
    name_doubt,
    usual_dtype,
)
from bayeslat.errors import HardwareError, InputError
from bayeslat.features.hardware import load_hardware


def test_the_cpu_is_a_device(torch: Any) -> None:
    assert choose_device("cpu") == "cpu"
    expected = "cuda:0" if torch.cuda.is_available() else "cpu"
    assert choose_device("auto") == expected


@pytest.mark.parametrize("wanted", ["cuda:999", "tpu", "auto:1", "cuda:x", ""])
def test_a_device_that_is_not_there_is_refused(torch: Any, wanted: str) -> None:
    with pytest.raises(InputError, match="--device"):
        choose_device(wanted)


def test_threads_are_of_the_cpu() -> None:
    assert choose_threads("cpu", None) == len(os.sched_getaffinity(0))
    assert choose_threads("cpu", 1) == 1
    assert choose_threads("cuda:0", None) is None
    with pytest.raises(InputError, match="--threads 2"):
        choose_threads("cuda:0", 2)


def test_a_name_is_found_in_the_hardware_table() -> None:
    assert gpu_key("cpu", 1, "EPYC 1t FP32", load_hardware()) == "epyc_1t_fp32"
    assert gpu_key("cuda:0", None, "H100 SXM", load_hardware()) == "h100_sxm"
    with pytest.raises(HardwareError, match="no_such"):
        gpu_key("cpu", 1, "no_such", load_hardware())


@pytest.mark.parametrize(
    ("gpu_found", "hint"), [(False, r"Torch finds none here"), (True, r"--gpu that computes here$")]
)
def test_a_cpu_does_not_pass_for_another_device(
    monkeypatch: pytest.MonkeyPatch, gpu_found: bool, hint: str
) -> None:
    cuda = SimpleNamespace(is_available=lambda: gpu_found)
    monkeypatch.setattr(module, "load_torch", lambda: SimpleNamespace(cuda=cuda))
    with pytest.raises(InputError, match=rf"threads = 2: h100_sxm .* 132 .*{hint}"):
        gpu_key("cpu", 2, "h100_sxm", load_hardware())
    with pytest.raises(InputError, match=rf"epyc_1t_fp32 .* --threads 1, .*{hint}"):
        gpu_key("cpu", 2, "epyc_1t_fp32", load_hardware())
    assert gpu_key("cpu", 2, "epyc_2t_fp32", load_hardware()) == "epyc_2t_fp32"


def test_a_cpu_must_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    cuda = SimpleNamespace(is_available=lambda: True)
    monkeypatch.setattr(module, "load_torch", lambda: SimpleNamespace(cuda=cuda))
    with pytest.raises(InputError, match=r"--gpu KEY.*--hardware"):
        gpu_key("cpu", 1, None, load_hardware())


def test_a_gpu_is_found_by_the_name_of_its_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_driver_name", lambda _: "NVIDIA H100 80GB HBM3")
    assert gpu_key("cuda:0", None, None, load_hardware()) == "h100_sxm"
    monkeypatch.setattr(module, "_driver_name", lambda _: "NVIDIA X999")
    with pytest.raises(HardwareError, match=r"(?s)X999.*--gpu KEY"):
        gpu_key("cuda:0", None, None, load_hardware())


def test_a_name_that_is_not_the_drivers_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    table = load_hardware()
    monkeypatch.setattr(module, "_driver_name", lambda _: "NVIDIA L4")
    told = name_doubt("cuda:0", "h100_sxm", table)
    assert told is not None
    assert "h100_sxm" in told
    assert "'NVIDIA L4', which is l4" in told
    assert name_doubt("cuda:0", "l4", table) is None
    monkeypatch.setattr(module, "_driver_name", lambda _: "NVIDIA H100 80GB HBM3 MIG 1g.10gb")
    assert name_doubt("cuda:0", "my_slice", table) is None
    assert name_doubt("cpu", "epyc_1t_fp32", table) is None


@pytest.mark.parametrize(
    ("capability", "dtype"),
    [((7, 0), "float16"), ((7, 5), "float16"), ((8, 0), "bfloat16"), ((9, 0), "bfloat16")],
)
def test_a_gpu_without_bfloat16_is_not_measured_in_it(
    monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], dtype: str
) -> None:
    cuda = SimpleNamespace(get_device_capability=lambda _: capability)
    monkeypatch.setattr(module, "load_torch", lambda: SimpleNamespace(cuda=cuda))
    assert usual_dtype("cuda:1") == dtype
    assert usual_dtype("cpu") == "float32"
