"""A stand-in for the module pynvml: one GPU, and whatever its driver does not support."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

UUID = "11111111-2222-3333-4444-555555555555"
MIG_UUID = "99999999-2222-3333-4444-555555555555"


class FakeError(Exception):
    """NVMLError."""


class FakeMismatchError(Exception):
    """NVMLLibraryMismatchError: no relative of NVMLError, as in pynvml."""


ANSWERS: dict[str, Any] = {
    "nvmlInit": None,
    "nvmlSystemGetDriverVersion": "580.65.06",
    "nvmlSystemGetCudaDriverVersion": 13020,
    "nvmlDeviceGetName": "NVIDIA L4",
    "nvmlDeviceGetUUID": f"GPU-{UUID}",
    "nvmlDeviceGetMemoryInfo": SimpleNamespace(total=23034 * 2**20),
    "nvmlDeviceGetEnforcedPowerLimit": 72000,
    "nvmlDeviceGetMaxClockInfo": {1: 2040, 2: 6251},
    "nvmlDeviceGetComputeMode": 0,
    "nvmlDeviceGetPersistenceMode": 1,
    "nvmlDeviceGetClockInfo": {1: 1980, 2: 6251},
    "nvmlDeviceGetPowerUsage": 71234,
    "nvmlDeviceGetTemperatureV": {0: 61},
    "nvmlDeviceGetCurrentClocksEventReasons": 0x4 | 0x1,
    "nvmlDeviceGetComputeRunningProcesses": ["own", "other"],
}


class FakeNvml:
    """The part of pynvml that is used, from a table of answers.

    An answer that is an exception is raised; a dict answers by the last argument.
    """

    NVMLError = FakeError
    NVMLLibraryMismatchError = FakeMismatchError
    NVML_CLOCK_SM = 1
    NVML_CLOCK_MEM = 2
    NVML_TEMPERATURE_GPU = 0

    def __init__(self, without: tuple[str, ...] = (), **changes: Any) -> None:
        self.answers = {**ANSWERS, **changes}
        for name in without:
            del self.answers[name]

    def __getattr__(self, name: str) -> Any:
        if name not in self.answers:
            raise AttributeError(name)
        answer = self.answers[name]

        def function(*arguments: Any) -> Any:
            if isinstance(answer, Exception):
                raise answer
            return answer[arguments[-1]] if isinstance(answer, dict) else answer

        return function

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> str:
        if uuid not in {f"GPU-{UUID}", f"MIG-{MIG_UUID}"}:
            raise FakeError("Not Found")
        return uuid
