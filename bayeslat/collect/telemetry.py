"""What the device and its host were like while a model was measured."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import pandas as pd
from pydantic import JsonValue

from bayeslat.collect.backend import load_torch
from bayeslat.collect.cpu_use import cpu_use, read_counters
from bayeslat.collect.gpu_reading import gpu_columns
from bayeslat.collect.machine import cpu_identity, load_average
from bayeslat.collect.nvml import NvmlGpu, open_gpu
from bayeslat.traces.cells import is_true

__all__ = ["Columns", "Telemetry", "open_telemetry", "summarise_telemetry"]

type Columns = dict[str, float | str]  # of one row; truth values among them

_NUMBERS = (
    *("load_average", "others_cpu", "steal", "preemptions"),
    *("sm_clock_MHz", "mem_clock_MHz", "power_W", "temperature_C", "other_processes"),
)
_FLAGS = ("throttled", "shared")
_MIB = 2**20  # bytes


class Telemetry(Protocol):
    """What a device tells about itself; get it from `open_telemetry`."""

    @property
    def problem(self) -> str | None:
        """Why the device's own telemetry is missing; None if it is there."""

    def identity(self) -> dict[str, JsonValue]:
        """Return the device's description, for a trace's metadata."""

    def watching(self) -> AbstractContextManager[Columns]:
        """Yield a dict that holds the row's columns once the block has ended.

        Everything is read on entry and on exit, nothing in between, and nothing waits for the
        device. If the block raises, the dict stays empty.
        """


@dataclass(frozen=True)
class _CpuTelemetry:
    problem: str | None = None

    def identity(self) -> dict[str, JsonValue]:
        return cpu_identity()

    @contextmanager
    def watching(self) -> Iterator[Columns]:
        columns: Columns = {}
        before = read_counters()
        yield columns
        use = asdict(cpu_use(before, read_counters()))
        columns["load_average"] = load_average()
        columns |= {name: value for name, value in use.items() if value is not None}


@dataclass(frozen=True)
class _GpuTelemetry:
    described: dict[str, JsonValue]  # what is known without the driver
    gpu: NvmlGpu | None
    problem: str | None = None

    def identity(self) -> dict[str, JsonValue]:
        told = {} if self.gpu is None else self.gpu.identity()
        # The host matters too: it launches every kernel.
        return {**self.described, **told, "host": cpu_identity()}

    @contextmanager
    def watching(self) -> Iterator[Columns]:
        columns: Columns = {}
        before = None if self.gpu is None else self.gpu.sample()
        yield columns
        if self.gpu is not None and before is not None:
            columns |= gpu_columns(before, self.gpu.sample())
        columns["load_average"] = load_average()


def open_telemetry(device: str) -> Telemetry:
    """Return the telemetry of a torch device.

    A GPU that cannot be read stops nothing: its rows hold the host's load only; `problem` says why.

    Parameters
    ----------
    device : str
        As torch names it: ``cpu``, ``cuda``, ``cuda:1``.

    Raises
    ------
    InputError
        If torch is not installed, for a device other than the CPU.
    """
    kind = device.partition(":")[0]
    if kind == "cpu":
        return _CpuTelemetry()
    torch = load_torch()
    if kind != "cuda":
        return _GpuTelemetry({}, None, f"telemetry reads cpu and cuda devices, not {device!r}")
    try:
        properties = torch.cuda.get_device_properties(device)
    except (AssertionError, RuntimeError, ValueError) as error:  # torch raises each of them
        return _GpuTelemetry({}, None, f"torch does not open {device!r}: {error}")
    gpu = open_gpu(str(properties.uuid))
    if isinstance(gpu, NvmlGpu):
        return _GpuTelemetry(_described(properties), gpu)
    return _GpuTelemetry(_described(properties), None, gpu.reason)


def summarise_telemetry(frame: pd.DataFrame) -> dict[str, JsonValue]:
    """Return the range of each telemetry column of a trace, and how many rows are marked.

    Parameters
    ----------
    frame : DataFrame
        Rows of a trace, with any or none of the columns.

    Returns
    -------
    dict
        ``{column: {"min", "median", "max"}}`` in the column's unit, and ``throttled_rows`` and
        ``shared_rows``; a column that is missing or empty is left out.
    """
    summary: dict[str, JsonValue] = {}
    for name in (name for name in _NUMBERS if name in frame):
        values = pd.to_numeric(frame[name]).dropna()
        if len(values):
            summary[name] = {key: float(values.agg(key)) for key in ("min", "median", "max")}
    for name in (name for name in _FLAGS if name in frame):
        told = frame[name].dropna()
        if len(told):
            # A CSV file with an empty cell gives truth values back as text.
            summary[f"{name}_rows"] = int(is_true(told).sum())
    return summary


def _described(properties: Any) -> dict[str, JsonValue]:
    return {
        "name": str(properties.name),
        "uuid": str(properties.uuid),
        "memory_total_MiB": int(properties.total_memory) // _MIB,
        "compute_capability": f"{properties.major}.{properties.minor}",
        "multiprocessors": int(properties.multi_processor_count),
    }
