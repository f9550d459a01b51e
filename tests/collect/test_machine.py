from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from bayeslat.collect.machine import cpu_identity, load_average, usable_cores, using_threads
from bayeslat.errors import InputError

X86 = """processor\t: 0
model name\t: Intel(R) Xeon(R) Platinum 8480+
flags\t\t: fpu smep smx avx avx2 fma avx512f avx512_bf16 amx_bf16 amx_tile amx_int8

processor\t: 1
model name\t: another core
flags\t\t: fpu
"""
ARM = """processor\t: 0
BogoMIPS\t: 2000.00
Features\t: fp asimd sve sve2 bf16 i8mm sme

processor\t: 1
"""


def test_the_cpu_is_described() -> None:
    identity = cpu_identity()
    assert identity["cpu"]
    assert identity["cores"] == len(usable_cores())
    assert identity["platform"]
    assert isinstance(identity["memory_total_MiB"], int)
    assert identity["memory_total_MiB"] > 100


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            X86,
            {
                "cpu": "Intel(R) Xeon(R) Platinum 8480+",
                "matrix_units": "amx_bf16 amx_int8 amx_tile",
                "vector_units": "avx avx2 avx512_bf16 avx512f fma",
            },
        ),
        (ARM, {"matrix_units": "sme", "vector_units": "asimd bf16 i8mm sve sve2"}),
    ],
)
def test_units_that_decide_kernels_are_named(
    tmp_path: Path, text: str, expected: dict[str, str]
) -> None:
    path = tmp_path / "cpuinfo"
    path.write_text(text, encoding="utf-8")
    identity = cpu_identity(path)
    assert {name: identity[name] for name in expected} == expected


def test_without_proc_the_units_are_left_out(tmp_path: Path) -> None:
    identity = cpu_identity(tmp_path / "missing")
    assert identity["cpu"]
    assert not {"matrix_units", "vector_units"} & set(identity)


def test_a_system_without_affinity_has_all_its_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    assert usable_cores() == frozenset(range(os.cpu_count() or 1))


def test_a_system_that_hides_its_memory_leaves_it_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(name: str) -> int:
        raise ValueError(name)

    monkeypatch.setattr(os, "sysconf", unknown)
    assert "memory_total_MiB" not in cpu_identity()


def test_the_load_is_a_number_of_processes() -> None:
    assert load_average() >= 0


def test_threads_are_set_and_restored(torch: Any) -> None:
    before = torch.get_num_threads()
    with using_threads(1):
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("threads", [0, 100_000])
def test_threads_that_the_machine_lacks_are_refused(threads: int) -> None:
    with pytest.raises(InputError, match=f"threads = {threads}"), using_threads(threads):
        pass
