"""What a server is: the row that every file begins with."""

from __future__ import annotations

import contextlib
import math
import os
import platform
import re
import sys
import time
from importlib import metadata
from pathlib import Path

from bayeslat.serving.read_fields import Row, entries_of, field_at

__all__ = ["SCHEMA", "server_row"]

SCHEMA = 1

# Where `VllmConfig` holds what decides how long things take.
_CONFIG = {
    "model": "model_config.model",
    "served_model_name": "model_config.served_model_name",
    "dtype": "model_config.dtype",
    "quantization": "model_config.quantization",
    "enforce_eager": "model_config.enforce_eager",
    "max_model_len": "model_config.max_model_len",
    "load_format": "load_config.load_format",
    "max_num_seqs": "scheduler_config.max_num_seqs",
    "max_num_batched_tokens": "scheduler_config.max_num_batched_tokens",
    "chunked_prefill": "scheduler_config.enable_chunked_prefill",
    "long_prefill_token_threshold": "scheduler_config.long_prefill_token_threshold",
    "scheduling_policy": "scheduler_config.policy",
    "async_scheduling": "scheduler_config.async_scheduling",
    "prefix_caching": "cache_config.enable_prefix_caching",
    "block_size_tokens": "cache_config.block_size",
    "kv_blocks": "cache_config.num_gpu_blocks",
    "kv_cache_dtype": "cache_config.cache_dtype",
    "cpu_offload_GiB": "offload_config.uva.cpu_offload_gb",
    "tensor_parallel_size": "parallel_config.tensor_parallel_size",
    "pipeline_parallel_size": "parallel_config.pipeline_parallel_size",
    "data_parallel_size": "parallel_config.data_parallel_size",
    "front_ends": "parallel_config._api_process_count",
    "front_end": "parallel_config._api_process_rank",
    "expert_parallel": "parallel_config.enable_expert_parallel",
    "executor": "parallel_config.distributed_executor_backend",
    "speculative_method": "speculative_config.method",
    "speculative_tokens": "speculative_config.num_speculative_tokens",
    "cudagraph_mode": "compilation_config.cudagraph_mode",
    "attention_backend": "attention_config.backend",
    "iteration_details": "observability_config.enable_logging_iteration_details",
}
_CPUINFO = Path("/proc/cpuinfo")
_THREADS_BIND = "VLLM_CPU_OMP_THREADS_BIND"


def server_row(vllm_config: object, engine: int, run: str, file: int) -> Row:
    """Return the first row of a file.

    Parameters
    ----------
    vllm_config : VllmConfig
    engine : int
        Which engine of a data-parallel server.
    run : str
        Names the start of the server.
    file : int
        Number of the file in its series.
    """
    config = {name: _plain(field_at(vllm_config, path)) for name, path in _CONFIG.items()}
    return {
        "kind": "server",
        "schema": SCHEMA,
        "run": run,
        "file": file,
        "engine": engine,
        "written_at_s": round(time.time(), 6),
        "tool": f"bayeslat {_version('bayeslat')}",
        "host": platform.node(),
        "pid": os.getpid(),
        "launch": _launch(),
        "software": _software(),
        "device": _device(vllm_config),
        "config": {name: value for name, value in config.items() if value is not None},
        "architecture": entries_of(field_at(vllm_config, "model_config.hf_text_config")),
        "vision_architecture": entries_of(
            field_at(vllm_config, "model_config.hf_config.vision_config")
        ),
        # llm-compressor nests the type of the weights three parts deep
        "quantization": entries_of(
            field_at(vllm_config, "model_config.hf_config.quantization_config"), parts=3
        ),
    }


def _launch() -> str:
    """Name the process that started this one: the front ends of a server have it in common."""
    parent, began = os.getppid(), ""
    with contextlib.suppress(Exception):  # where there is no /proc, its number has to do
        told = Path(f"/proc/{parent}/stat").read_text(encoding="utf-8", errors="replace")
        began = told.rpartition(")")[2].split()[19]  # the name before it may hold anything
    return f"{parent}.{began}" if began else str(parent)


def _plain(value: object) -> object:
    """Return a setting as JSON has it: an enumeration's member by name, a dtype without torch."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)  # JSON has no such number
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    name = value if isinstance(value, str) else getattr(value, "name", None) or str(value)
    return str(name).removeprefix("torch.")


def _software() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for library in ("vllm", "torch", "transformers"):
        version = field_at(sys.modules.get(library), "__version__")  # loads nothing
        if version is not None:
            found[library] = str(version)
    return found


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "from source"


def _device(vllm_config: object) -> dict[str, object]:
    """Return what the model runs on."""
    kind = str(_plain(field_at(vllm_config, "device_config.device_type")) or "unknown")
    name = _cpu_name() if kind == "cpu" else _gpu_name()
    found: dict[str, object] = {"type": kind, "name": name, "capability": _capability()}
    if kind == "cpu":
        bind = os.environ.get(_THREADS_BIND, "auto")
        found |= {"cores": _usable_cores(), "threads_bind": bind, "threads": _threads(bind)}
    return {name: value for name, value in found.items() if value is not None}


def _gpu_name() -> str | None:
    platform_name, current = _platform()
    if platform_name.startswith("NonNvml"):
        return None  # without the driver's library, to ask is to take memory of the GPU
    name = _answer(current, "get_device_name")
    return None if name is None else str(name)


def _capability() -> int | None:
    """Return the compute capability of an NVIDIA GPU, as 90 of an H100."""
    platform_name, current = _platform()
    if not platform_name.startswith("Nvml"):
        return None  # others ask torch, which takes memory of the GPU
    told = _answer(current, "get_device_capability")
    major, minor = field_at(told, "major"), field_at(told, "minor")
    return 10 * major + minor if isinstance(major, int) and isinstance(minor, int) else None


def _platform() -> tuple[str, object]:
    current = field_at(sys.modules.get("vllm.platforms"), "current_platform")
    return type(current).__name__, current


def _answer(holder: object, question: str) -> object:
    try:
        return getattr(holder, question)()
    except Exception:  # noqa: BLE001 - a driver may fail in any way; a server goes on
        return None


def _cpu_name() -> str | None:
    try:
        text = _CPUINFO.read_text(encoding="utf-8")
    except OSError:
        return platform.processor() or None
    found = re.search(r"^model name\s*: (.+)$", text, re.MULTILINE)
    return found[1].strip() if found else platform.processor() or None


def _usable_cores() -> int | None:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def _threads(bind: str) -> int | None:
    """Return how many threads compute, where cores are listed as in `0-3,8|4-7`: of one rank."""
    cores = 0
    for part in bind.split("|")[0].split(","):
        ends = re.fullmatch(r"(\d+)(?:-(\d+))?", part.strip())
        if ends is None:
            return None
        cores += int(ends[2] or ends[1]) - int(ends[1]) + 1
    return cores
