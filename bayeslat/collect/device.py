"""The device that measures, and its name in the hardware table."""

from __future__ import annotations

from typing import Any

from bayeslat.collect.backend import load_torch
from bayeslat.collect.machine import usable_cores
from bayeslat.errors import HardwareError, InputError
from bayeslat.features.hardware import HardwareTable

__all__ = ["choose_device", "choose_threads", "gpu_key", "name_doubt", "usual_dtype"]


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
    """Return the dtype that models run in on a torch device, where nobody says another.

    GPUs before Ampere have no bfloat16 units: torch emulates it there.
    """
    if device == "cpu":
        return "float32"
    return "bfloat16" if load_torch().cuda.get_device_capability(device) >= (8, 0) else "float16"


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


def gpu_key(device: str, threads: int | None, wanted: str | None, table: HardwareTable) -> str:
    """Return the key of the device in the hardware table.

    Parameters
    ----------
    device : str
        Torch device.
    threads : int or None
        Threads that a CPU computes with.
    wanted : str or None
        A key or alias; by default the name that the driver gives a GPU.
    table : HardwareTable

    Raises
    ------
    InputError
        If no name is given for a CPU: its threads and dtype make it another device; or the name of
        a device of other threads, such as a GPU.
    HardwareError
        If the table lacks the name; the message shows the lines to add.
    """
    if wanted is not None:
        gpu = table.resolve(wanted)
        if threads is not None and gpu.num_sm not in {None, threads}:
            possible = gpu.num_sm <= len(usable_cores())
            cure = f"--threads {gpu.num_sm}, or " if possible else ""
            raise InputError(
                f"threads = {threads}: {gpu.key} is a device of {gpu.num_sm} (num_sm in the "
                f"hardware table); give {cure}the --gpu that computes here" + _no_gpu_found()
            )
        return gpu.key
    if device == "cpu":
        raise InputError(
            "a CPU has no name in the hardware table: which one it is depends on threads and "
            "dtype; name it with --gpu KEY, and describe it with --hardware FILE.toml"
            + _no_gpu_found()
        )
    name = _driver_name(device)
    try:
        return table.resolve(name).key
    except HardwareError as error:
        raise HardwareError(f"{error}\nor name another entry with --gpu KEY") from error


def name_doubt(device: str, key: str, table: HardwareTable) -> str | None:
    """Return what speaks against the name of a GPU: its driver's name is that of another.

    Parameters
    ----------
    device : str
        Torch device.
    key : str
        Of the hardware table.
    table : HardwareTable
    """
    if device == "cpu":
        return None
    name = _driver_name(device)
    known = table.find(name)
    if known is None or known.key == key:
        return None
    return (
        f"rows are named {key}, as --gpu says, but the driver calls {device} {name!r}, which is "
        f"{known.key} in the hardware table"
    )


def _no_gpu_found() -> str:
    """Return the hint that a CPU measures where a GPU may be meant."""
    if load_torch().cuda.is_available():
        return ""
    return ". Was a GPU meant? Torch finds none here: is it built for CUDA, and is there a driver?"


def _driver_name(device: str) -> str:
    name: Any = load_torch().cuda.get_device_name(device)
    return str(name)
