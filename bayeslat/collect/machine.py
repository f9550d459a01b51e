"""What the machine says about itself, for a trace's provenance."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import JsonValue

from bayeslat.collect.backend import load_torch
from bayeslat.errors import InputError

__all__ = ["cpu_identity", "load_average", "usable_cores", "using_threads"]

_CPUINFO = Path("/proc/cpuinfo")
# Instruction sets that decide which kernels a matrix library picks: x86, then Arm.
_VECTOR_UNITS = (
    *("avx", "avx2", "fma", "f16c", "avx_vnni", "avx512f", "avx512bw", "avx512vl"),
    *("avx512_vnni", "avx512_bf16", "avx512_fp16"),
    *("asimd", "asimdhp", "asimddp", "bf16", "i8mm", "sve", "sve2"),
)
_ARM_MATRIX_UNITS = ("sme", "sme2")
_MIB = 2**20  # bytes


def cpu_identity(cpuinfo: Path = _CPUINFO) -> dict[str, JsonValue]:
    """Return the CPU's model and units, the cores that this process may use, memory and system.

    Parameters
    ----------
    cpuinfo : Path
        The kernel's description of the CPU; where there is none, the units are left out.
    """
    known = _cpuinfo(cpuinfo)
    identity: dict[str, JsonValue] = {
        "cpu": known.get("model name") or platform.processor() or "unknown",
        "cores": len(usable_cores()),
        "platform": platform.platform(),
    }
    flags = known.get("flags") or known.get("Features")  # x86 or Arm
    if flags is not None:
        units = sorted(set(flags.split()))
        identity["matrix_units"] = " ".join(filter(_is_matrix_unit, units))
        identity["vector_units"] = " ".join(unit for unit in units if unit in _VECTOR_UNITS)
    memory_MiB = _memory_total_MiB()
    if memory_MiB is not None:
        identity["memory_total_MiB"] = memory_MiB
    return identity


def load_average() -> float:
    """Return the mean number of runnable processes over the last minute, this one included."""
    return os.getloadavg()[0]


def usable_cores() -> frozenset[int]:
    """Return the numbers of the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return frozenset(os.sched_getaffinity(0))
    return frozenset(range(os.cpu_count() or 1))  # macOS has no affinity


@contextmanager
def using_threads(threads: int) -> Iterator[None]:
    """Let torch compute with `threads` threads inside the block.

    Raises
    ------
    InputError
        If the machine does not have as many cores.
    """
    cores = len(usable_cores())
    if not 1 <= threads <= cores:
        raise InputError(
            f"threads = {threads}: this process may use 1 to {cores} cores; "
            "threads that share a core measure the sharing"
        )
    torch = load_torch()
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _is_matrix_unit(unit: str) -> bool:
    return unit.startswith("amx") or unit in _ARM_MATRIX_UNITS


def _memory_total_MiB() -> int | None:
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // _MIB
    except ValueError:  # a system without these names
        return None


def _cpuinfo(path: Path) -> dict[str, str]:
    """Return the entries of the first core: the others repeat them."""
    try:
        first = path.read_text(encoding="utf-8").split("\n\n")[0]
    except OSError:
        return {}
    pairs = (line.partition(":") for line in first.splitlines())
    return {key.strip(): value.strip() for key, _, value in pairs}
