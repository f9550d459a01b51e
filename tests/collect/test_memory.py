from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bayeslat.collect.memory import is_out_of_memory, limited_to_free_memory

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MemoryError(), True),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), True),
        (RuntimeError("std::bad_alloc"), True),
        (RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be"), True),
        (RuntimeError("HIP error: out of memory\nHIP kernel errors might be"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate"), True),
        (RuntimeError('NVML_SUCCESS == r INTERNAL ASSERT FAILED at "CUDACachingAllocator"'), True),
        (RuntimeError("CUDA error: an illegal memory access was encountered"), False),
        (RuntimeError("shapes do not match"), False),
        (ValueError("bad"), False),
    ],
)
def test_errors_of_memory_are_told_from_others(error: Exception, expected: bool) -> None:
    assert is_out_of_memory(error) is expected


def test_the_error_of_a_gpu_is_known(torch: Any) -> None:
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory"))


def test_the_limit_holds_inside_the_block_alone() -> None:
    before = resource.getrlimit(resource.RLIMIT_AS)
    with limited_to_free_memory():
        inside = resource.getrlimit(resource.RLIMIT_AS)
    assert resource.getrlimit(resource.RLIMIT_AS) == before
    if Path("/proc/meminfo").exists():
        assert inside[0] != resource.RLIM_INFINITY


def test_torch_is_told_where_memory_ends(torch: Any) -> None:
    code = (
        "import torch\n"
        "from bayeslat.collect.memory import is_out_of_memory, limited_to_free_memory\n"
        "with limited_to_free_memory():\n"
        "    try:\n"
        "        torch.zeros(2**50)\n"
        "    except (MemoryError, RuntimeError) as error:\n"
        "        print(is_out_of_memory(error))\n"
        "    print(float(torch.ones(3).sum()))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.stdout.split() == ["True", "3.0"], done.stderr
