"""The state of a GPU at one moment, and what two of them say about a measurement between."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["GpuReading", "gpu_columns", "throttle_reasons"]

# Bits of the mask of "clocks event reasons" (nvml.h: nvmlClocksEventReason*) that say that a job
# runs slower than the device's normal state allows. Left out, since they do not: idle, clocks set
# by a user, sync boost, clocks of a display, and the limits of board and voltage reliability.
_THROTTLE_BITS = {
    "sw_power_cap": 0x04,
    "hw_slowdown": 0x08,
    "sw_thermal_slowdown": 0x20,
    "hw_thermal_slowdown": 0x40,
    "hw_power_brake": 0x80,
}


@dataclass(frozen=True)
class GpuReading:
    """A GPU at one moment; None is what its driver does not tell.

    Attributes
    ----------
    sm_clock_MHz, mem_clock_MHz : float or None
        Clocks of the multiprocessors and of the memory.
    power_W : float or None
        Power draw of the board; GPUs from Ampere on tell a mean over the last second.
    temperature_C : float or None
        Temperature of the die.
    throttle_reasons : tuple of str or None
        What slows the device down; empty for nothing.
    other_processes : int or None
        Processes besides this one that compute on the device.
    """

    sm_clock_MHz: float | None = None
    mem_clock_MHz: float | None = None
    power_W: float | None = None
    temperature_C: float | None = None
    throttle_reasons: tuple[str, ...] | None = None
    other_processes: int | None = None


def throttle_reasons(mask: int) -> tuple[str, ...]:
    """Return the names of the bits of a mask of clocks event reasons that slow a job down."""
    return tuple(name for name, bit in _THROTTLE_BITS.items() if mask & bit)


def gpu_columns(before: GpuReading, after: GpuReading) -> dict[str, float | str]:
    """Return a row's columns from the readings before and after a measurement.

    Each is the worse of the two: the lower clock, the higher power and temperature, what throttled
    or shared the device at either moment. What neither reading tells is left out.
    """
    columns: dict[str, float | str | None] = {
        "sm_clock_MHz": _either(min, before.sm_clock_MHz, after.sm_clock_MHz),
        "mem_clock_MHz": _either(min, before.mem_clock_MHz, after.mem_clock_MHz),
        "power_W": _either(max, before.power_W, after.power_W),
        "temperature_C": _either(max, before.temperature_C, after.temperature_C),
    }
    told = [r.throttle_reasons for r in (before, after) if r.throttle_reasons is not None]
    if told:
        reasons = {reason for reading in told for reason in reading}
        columns["throttle_reasons"] = ",".join(n for n in _THROTTLE_BITS if n in reasons)
        columns["throttled"] = bool(reasons)
    others = _either(max, before.other_processes, after.other_processes)
    if others is not None:
        columns["other_processes"] = others
        columns["shared"] = others > 0
    return {name: value for name, value in columns.items() if value is not None}


def _either[T](choose: Callable[[list[T]], T], *values: T | None) -> T | None:
    told = [value for value in values if value is not None]
    return choose(told) if told else None
