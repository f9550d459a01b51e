"""Memory: a configuration that needs too much is told, and takes nothing down with it."""

from __future__ import annotations

import gc
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["is_out_of_memory", "limited_to_free_memory", "release_memory"]

_MESSAGES = (
    "error: out of memory",  # CUDA or HIP
    # Where torch cannot ask NVML how much memory is left (MIG, containers, Jetson), it says this in
    # place of CUDA out of memory: https://github.com/pytorch/pytorch/issues/112377
    "NVML_SUCCESS == ",
    "_STATUS_ALLOC_FAILED",  # of cuBLAS, cuDNN and their kin
    "can't allocate memory",
    "not enough memory",
    "bad_alloc",
    "could not create a memory",
)
_SPARE = 0.95
"""Part of the free memory that may be used: the system needs some itself."""


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether an error says that an allocation failed, on a GPU or in main memory."""
    if isinstance(error, MemoryError):
        return True
    # torch.OutOfMemoryError is a RuntimeError; so is what libraries and the CPU's allocator raise.
    named = type(error).__name__ == "OutOfMemoryError"
    return named or any(message in str(error) for message in _MESSAGES)


def release_memory() -> None:
    """Give cached memory back to the device."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()


@contextmanager
def limited_to_free_memory() -> Iterator[None]:
    """Let allocations fail inside the block where memory ends.

    Linux promises more memory than there is, and kills the process that uses it. With a limit on
    its address space the process is told instead.
    """
    free = _free_bytes()
    if free is None:
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    limit = _address_space_bytes() + int(_SPARE * free)
    if hard != resource.RLIM_INFINITY:
        limit = min(limit, hard)
    resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def _free_bytes() -> int | None:
    """Return the memory that this process could still get: of the machine, and of its group."""
    meminfo = Path("/proc/meminfo")
    if not meminfo.exists():
        return None
    fields = dict(line.split(":") for line in meminfo.read_text(encoding="utf-8").splitlines())
    free = int(fields["MemAvailable"].split()[0]) * 1024
    group = Path("/sys/fs/cgroup")
    try:
        most = (group / "memory.max").read_text(encoding="utf-8").strip()
        used = int((group / "memory.current").read_text(encoding="utf-8"))
    except OSError:
        return free
    return free if most == "max" else min(free, int(most) - used)


def _address_space_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[0])
    return pages * resource.getpagesize()
