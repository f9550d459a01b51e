from __future__ import annotations

import os
from typing import Any

import pytest

from bayeslat.collect import device as module
from bayeslat.collect.device import choose_device, choose_threads, gpu_key
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
    assert gpu_key("cpu", "EPYC 1t FP32", load_hardware()) == "epyc_1t_fp32"
    with pytest.raises(HardwareError, match="no_such"):
        gpu_key("cpu", "no_such", load_hardware())


def test_a_cpu_must_be_named() -> None:
    with pytest.raises(InputError, match=r"--gpu KEY.*--hardware"):
        gpu_key("cpu", None, load_hardware())


def test_a_gpu_is_found_by_the_name_of_its_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_driver_name", lambda _: "NVIDIA H100 80GB HBM3")
    assert gpu_key("cuda:0", None, load_hardware()) == "h100_sxm"
    monkeypatch.setattr(module, "_driver_name", lambda _: "NVIDIA X999")
    with pytest.raises(HardwareError, match=r"(?s)X999.*--gpu KEY"):
        gpu_key("cuda:0", None, load_hardware())
