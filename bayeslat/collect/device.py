"""The device that measures, and its name in the hardware table."""

from __future__ import annotations

from typing import Any

from bayeslat.collect.backend import load_torch
from bayeslat.collect.machine import usable_cores
from bayeslat.errors import HardwareError, InputError
from bayeslat.features.hardware import HardwareTable

__all__ = ["choose_device", "choose_threads", "gpu_key", "usual_dtype"]


def choose_device(wanted: str) -> str:
    """Return the torch device to measure on.

    Parameters
    ----------
    wanted : str
        `auto` for the first GPU or else the CPU, or a device as torch names it.

    Raises
    ------
    InputError
        If torch does not have it here.
    """
    cuda = load_torch().cuda
    found = cuda.device_count() if cuda.is_available() else 0
    kind, _, number = wanted.partition(":")
    if kind == "auto" and not number:
        return "cuda:0" if found else "cpu"
    if wanted == "cpu":
        return wanted
    if kind == "cuda" and (number or "0").isdigit():
        if int(number or 0) < found:
            return f"cuda:{int(number or 0)}"
        raise InputError(f"--device {wanted}: torch sees {found} CUDA devices here")
    raise InputError(f"--device {wanted!r}: write auto, cpu, cuda or cuda:N")


def usual_dtype(device: str) -> str:
    """Return the dtype that models run in on a torch device, where nobody says another."""
    return "float32" if device == "cpu" else "bfloat16"


def choose_threads(device: str, wanted: int | None) -> int | None:
    """Return the threads to compute with on a CPU: all usable cores by default; None on a GPU.

    Raises
    ------
    InputError
        If threads are given for a GPU.
    """
    if device == "cpu":
        return len(usable_cores()) if wanted is None else wanted
    if wanted is not None:
        raise InputError(f"--threads {wanted}: threads are of the CPU; leave it out for {device}")
    return None


def gpu_key(device: str, wanted: str | None, table: HardwareTable) -> str:
    """Return the key of the device in the hardware table.

    Parameters
    ----------
    device : str
        Torch device.
    wanted : str or None
        A key or alias; by default the name that the driver gives a GPU.
    table : HardwareTable

    Raises
    ------
    InputError
        If no name is given for a CPU: its threads and dtype make it another device.
    HardwareError
        If the table lacks the name; the message shows the lines to add.
    """
    if wanted is not None:
        return table.resolve(wanted).key
    if device == "cpu":
        raise InputError(
            "a CPU has no name in the hardware table: which one it is depends on threads and "
            "dtype; name it with --gpu KEY, and describe it with --hardware FILE.toml"
        )
    name = _driver_name(device)
    try:
        return table.resolve(name).key
    except HardwareError as error:
        raise HardwareError(f"{error}\nor name another entry with --gpu KEY") from error


def _driver_name(device: str) -> str:
    name: Any = load_torch().cuda.get_device_name(device)
    return str(name)
