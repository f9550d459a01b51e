from __future__ import annotations

import os
from typing import Any

import pytest

from bayeslat.collect.machine import cpu_identity, using_threads
from bayeslat.errors import InputError


def test_the_cpu_is_described() -> None:
    identity = cpu_identity()
    assert identity["cpu"]
    assert identity["cores"] == len(os.sched_getaffinity(0))


def test_threads_are_set_and_restored(torch: Any) -> None:
    before = torch.get_num_threads()
    with using_threads(1):
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("threads", [0, 100_000])
def test_threads_that_the_machine_lacks_are_refused(threads: int) -> None:
    with pytest.raises(InputError, match=f"threads = {threads}"), using_threads(threads):
        pass
