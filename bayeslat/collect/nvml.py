"""An NVIDIA GPU as its driver describes it, read through NVML."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import JsonValue

from bayeslat.collect.gpu_reading import GpuReading, throttle_reasons

__all__ = ["NvmlGpu", "Unreadable", "open_gpu"]

# Numbers of nvml.h: nvmlComputeMode_t.
_COMPUTE_MODES = {0: "default", 1: "exclusive_thread", 2: "prohibited", 3: "exclusive_process"}
_MIB = 2**20  # bytes


@dataclass(frozen=True)
class Unreadable:
    """A GPU that NVML does not show, and the reason in words."""

    reason: str


@dataclass(frozen=True)
class NvmlGpu:
    """One GPU, or one MIG instance of it; get it from `open_gpu`.

    Attributes
    ----------
    nvml : module
        pynvml, initialised.
    handle : object
        NVML's handle of what this process computes on.
    board : object
        Handle of the whole GPU: clocks, power and temperature are told for nothing smaller.
    """

    nvml: Any
    handle: Any
    board: Any

    def identity(self) -> dict[str, JsonValue]:
        """Return what the driver says about the device; what it does not tell is left out."""
        nvml, board = self.nvml, self.board
        limit = "nvmlDeviceGetEnforcedPowerLimit nvmlDeviceGetPowerManagementLimit"
        entries: dict[str, JsonValue] = {
            "name": self._ask("nvmlDeviceGetName", self.handle),
            "uuid": self._ask("nvmlDeviceGetUUID", self.handle),
            "driver_version": self._ask("nvmlSystemGetDriverVersion"),
            "power_limit_W": _in_units(self._ask(limit, board), 1000),
            "max_sm_clock_MHz": self._ask("nvmlDeviceGetMaxClockInfo", board, nvml.NVML_CLOCK_SM),
            "max_mem_clock_MHz": self._ask("nvmlDeviceGetMaxClockInfo", board, nvml.NVML_CLOCK_MEM),
        }
        if (cuda := self._ask("nvmlSystemGetCudaDriverVersion")) is not None:
            entries["cuda_driver_version"] = f"{cuda // 1000}.{cuda % 1000 // 10}"
        if (memory := self._ask("nvmlDeviceGetMemoryInfo", self.handle)) is not None:
            entries["memory_total_MiB"] = memory.total // _MIB
        if (mode := self._ask("nvmlDeviceGetComputeMode", board)) is not None:
            entries["compute_mode"] = _COMPUTE_MODES.get(mode, str(mode))
        if (persistence := self._ask("nvmlDeviceGetPersistenceMode", board)) is not None:
            entries["persistence_mode"] = bool(persistence)
        return {name: value for name, value in entries.items() if value is not None}

    def sample(self) -> GpuReading:
        """Return the device's present state; takes some milliseconds of the host's time."""
        nvml, board = self.nvml, self.board
        # The clocks and what limits them come first: they fall soonest once the device idles.
        sm_clock = self._ask("nvmlDeviceGetClockInfo", board, nvml.NVML_CLOCK_SM)
        mem_clock = self._ask("nvmlDeviceGetClockInfo", board, nvml.NVML_CLOCK_MEM)
        reasons = "nvmlDeviceGetCurrentClocksEventReasons nvmlDeviceGetCurrentClocksThrottleReasons"
        mask = self._ask(reasons, board)
        thermometers = "nvmlDeviceGetTemperatureV nvmlDeviceGetTemperature"
        return GpuReading(
            sm_clock_MHz=_in_units(sm_clock),
            mem_clock_MHz=_in_units(mem_clock),
            power_W=_in_units(self._ask("nvmlDeviceGetPowerUsage", board), 1000),
            temperature_C=_in_units(self._ask(thermometers, board, nvml.NVML_TEMPERATURE_GPU)),
            throttle_reasons=None if mask is None else throttle_reasons(mask),
            other_processes=self._other_processes(),
        )

    def _other_processes(self) -> int | None:
        """Return the listed processes less one, whatever their pids.

        This process holds a context on the device, so one entry is its own. It cannot be picked out
        by its pid: in a container the driver may list it under its pid on the host, or list none.
        An empty list therefore counts as no others, though then they would be hidden as well.
        """
        listing = "nvmlDeviceGetComputeRunningProcesses"
        listed = self._ask(f"{listing} {listing}_v2", self.handle)
        return None if listed is None else max(0, len(listed) - 1)

    def _ask(self, names: str, *arguments: Any) -> Any:
        """Return the answer of the first function that package, driver and device have, or None."""
        for name in names.split():
            function = getattr(self.nvml, name, None)
            try:
                if function is not None:
                    return function(*arguments)
            except (self.nvml.NVMLError, self.nvml.NVMLLibraryMismatchError):
                continue
        return None


def open_gpu(uuid: str) -> NvmlGpu | Unreadable:
    """Return the GPU with a UUID, or why it cannot be read; never raises.

    NVML stays open until the process ends.

    Parameters
    ----------
    uuid : str
        UUID as torch tells it, without the prefix ``GPU-``. CUDA numbers the devices that
        ``CUDA_VISIBLE_DEVICES`` leaves, NVML numbers all, so a number would not do.
    """
    try:
        import pynvml
    except ImportError:
        return Unreadable("pynvml is not installed (pip install nvidia-ml-py)")
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        return Unreadable(f"NVML does not start: {error}")
    return _find(pynvml, uuid)


def _find(nvml: Any, uuid: str) -> NvmlGpu | Unreadable:
    reason = ""
    for prefix in ("GPU-", "MIG-"):
        try:
            handle = nvml.nvmlDeviceGetHandleByUUID(prefix + uuid)
        except nvml.NVMLError as error:
            reason = reason or f"NVML does not open GPU-{uuid}: {error}"
            continue
        return NvmlGpu(nvml, handle, handle if prefix == "GPU-" else _board_of(nvml, handle))
    return Unreadable(reason)


def _board_of(nvml: Any, instance: Any) -> Any:
    try:
        return nvml.nvmlDeviceGetDeviceHandleFromMigDeviceHandle(instance)
    except nvml.NVMLError:
        return instance


def _in_units(value: int | None, per_unit: int = 1) -> float | None:
    return None if value is None else value / per_unit
