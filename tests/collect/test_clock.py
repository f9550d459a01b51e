from __future__ import annotations

import time
from typing import Any

import pytest

from bayeslat.collect.clock import CudaClock, HostClock, clock_of


def test_the_host_clock_counts_milliseconds() -> None:
    clock = HostClock()
    assert clock.elapsed_ms(1_000_000, 3_500_000) == 2.5
    start = clock.mark()
    time.sleep(0.02)
    clock.settle()
    assert clock.elapsed_ms(start, clock.mark()) >= 20.0


def test_the_clock_is_that_of_the_device(torch: Any) -> None:
    assert isinstance(clock_of(torch.device("cpu")), HostClock)
    assert isinstance(clock_of("cuda:0"), CudaClock)


def test_events_time_the_work_of_a_gpu(torch: Any) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device here")
    clock = clock_of("cuda:0")
    matrix = torch.randn(4096, 4096, device="cuda:0")
    clock.settle()
    start = clock.mark()
    for _ in range(20):
        matrix = matrix @ matrix
    end = clock.mark()
    asked = time.perf_counter()
    clock.settle()
    waited_ms = 1e3 * (time.perf_counter() - asked)
    # The marks did not wait: most of the time passed after them.
    assert clock.elapsed_ms(start, end) > 0.5 * waited_ms > 0
