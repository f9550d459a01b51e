"""What the machine says about itself, for a trace's provenance."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bayeslat.collect.backend import load_torch
from bayeslat.errors import InputError

__all__ = ["cpu_identity", "load_average", "using_threads"]


def cpu_identity() -> dict[str, str | int]:
    """Return the CPU's model, how many cores this process may use, and its matrix units."""
    flags = _cpuinfo("flags").split()
    return {
        "cpu": _cpuinfo("model name") or platform.processor() or "unknown",
        "cores": _usable_cores(),
        "matrix_units": " ".join(sorted(flag for flag in flags if flag.startswith("amx"))),
    }


def load_average() -> float:
    """Return the mean number of runnable processes over the last minute, this one included."""
    return os.getloadavg()[0]


@contextmanager
def using_threads(threads: int) -> Iterator[None]:
    """Let torch compute with `threads` threads inside the block.

    Raises
    ------
    InputError
        If the machine does not have as many cores.
    """
    if not 1 <= threads <= _usable_cores():
        raise InputError(
            f"threads = {threads}: this process may use 1 to {_usable_cores()} cores; "
            "threads that share a core measure the sharing"
        )
    torch = load_torch()
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _usable_cores() -> int:
    return len(os.sched_getaffinity(0))


def _cpuinfo(key: str) -> str:
    path = Path("/proc/cpuinfo")
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    values = (line.partition(":")[2].strip() for line in lines if line.startswith(key))
    return next(values, "")
