"""What others do on the cores: arithmetic by hand, then real processes on this machine."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bayeslat.collect.cpu_use import CoreTimes, CpuCounters, CpuUse, cpu_use, read_counters
from bayeslat.collect.machine import usable_cores

BURN = "print(flush=True)\nwhile True: pass"
NEEDS_PROC = pytest.mark.skipif(
    not (sys.platform == "linux" and Path("/proc/stat").exists()), reason="needs Linux's /proc/stat"
)


def counters(
    wall_s: float, own_s: float, busy_s: float, steal_s: float = 0.0, cores: int = 2
) -> CpuCounters:
    times = CoreTimes(frozenset(range(cores)), busy_s, steal_s, cores * wall_s, tick_s=0.01)
    return CpuCounters(wall_s, own_s, 7, times)


START = counters(wall_s=100, own_s=20, busy_s=50)


@pytest.mark.parametrize(
    ("end", "others_cpu", "steal", "shared"),
    [
        (counters(110, own_s=29, busy_s=59), 0.0, 0.0, False),  # 9 s, all of them its own
        (counters(110, own_s=29, busy_s=59.5), 0.05, 0.0, False),  # 0.5 s of others
        (counters(110, own_s=29, busy_s=64), 0.5, 0.0, True),  # 5 s of others
        (counters(110, own_s=29, busy_s=58), 0.0, 0.0, False),  # rounding below zero
        (counters(110, own_s=29, busy_s=59, steal_s=0.8), 0.0, 0.04, False),  # 0.8 of 20 s
        (counters(110, own_s=29, busy_s=59, steal_s=4), 0.0, 0.2, True),
        # In 0.05 s two ticks are 0.4 cores, and no more than what rounding makes of nothing.
        (counters(100.05, own_s=20.05, busy_s=50.07), 0.4, 0.0, False),
        (counters(100.05, own_s=20.05, busy_s=50.1), 1.0, 0.0, True),  # but five ticks are others
    ],
)
def test_others_are_what_is_busy_and_not_own(
    end: CpuCounters, others_cpu: float, steal: float, shared: bool
) -> None:
    use = cpu_use(START, end)
    assert use.others_cpu == pytest.approx(others_cpu, abs=1e-9)
    assert use.steal == pytest.approx(steal, abs=1e-9)
    assert use.shared is shared


@pytest.mark.parametrize(
    "end",
    [
        CpuCounters(110, 29, 9, None),
        counters(110, own_s=29, busy_s=59, cores=1),  # other cores than at the start
        CpuCounters(110, 29, 9, START.core_times),  # times that stand still
    ],
)
def test_core_times_that_cannot_be_compared_say_nothing(end: CpuCounters) -> None:
    assert cpu_use(START, end) == CpuUse(preemptions=end.preemptions - 7)


def test_the_columns_of_the_kernel_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {1, 2}, raising=False)
    monkeypatch.setattr(os, "sysconf", lambda _: 100)
    stat = tmp_path / "stat"
    core_1 = "cpu1 100 200 300 4000 500 10 20 30 7777 0"
    core_2 = "cpu2 1 1 1 1 1 1 1 1 0 0"
    stat.write_text(f"cpu 9 9 9 9 9 9 9 9\ncpu0 8 8 8 8 8 8 8 8\n{core_1}\n{core_2}\ncpu12 5\n\n")
    times = read_counters(stat).core_times
    assert times is not None
    # 100 + 200 + 300 + 10 + 20 and 5 ones; guests (7777) are part of user already.
    assert times.busy_s == pytest.approx(6.35)
    assert times.steal_s == pytest.approx(0.31)
    assert times.total_s == pytest.approx(51.68)
    assert times.tick_s == pytest.approx(0.01)


@pytest.mark.parametrize("text", [None, "", "cpu0 1 2 3", "intr 5 5 5"])
def test_without_the_kernel_only_preemptions_are_known(tmp_path: Path, text: str | None) -> None:
    stat = tmp_path / "stat"
    if text is not None:
        stat.write_text(text)
    before = read_counters(stat)
    use = cpu_use(before, read_counters(stat))
    assert use == CpuUse(preemptions=use.preemptions)
    assert use.preemptions >= 0


@contextmanager
def on_one_core() -> Iterator[int]:
    """Keep this process, and those that it starts, on one core inside the block."""
    before = usable_cores()
    core = max(before)
    os.sched_setaffinity(0, {core})
    try:
        yield core
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def burning() -> Iterator[None]:
    """Let another process compute inside the block."""
    with subprocess.Popen([sys.executable, "-c", BURN], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()  # it has started
        try:
            yield
        finally:
            other.kill()


def compute(seconds: float) -> None:
    """Spend CPU time of this process."""
    end_s = time.process_time() + seconds
    while time.process_time() < end_s:
        pass


def use_while_sleeping(seconds: float) -> CpuUse:
    before = read_counters()
    time.sleep(seconds)
    return cpu_use(before, read_counters())


@NEEDS_PROC
def test_another_process_on_the_core_is_seen() -> None:
    with on_one_core(), burning():
        use = use_while_sleeping(0.5)
    assert use.others_cpu is not None
    # It has the core alone, but for what this machine's other guests and processes take.
    assert use.others_cpu > 0.4 or (use.steal or 0) > 0.3
    assert use.shared


@NEEDS_PROC
def test_own_computation_is_not_taken_for_others() -> None:
    with on_one_core():
        before = read_counters()
        compute(seconds=0.2)
        after = read_counters()
    use, wall_s = cpu_use(before, after), after.wall_s - before.wall_s
    assert use.others_cpu is not None
    # Whatever else runs here, others have at most what is left of one core, give or take two ticks
    # of the kernel; counted as others', the own 0.2 s would come on top.
    assert use.others_cpu * wall_s <= wall_s - 0.2 + 0.02


@NEEDS_PROC
def test_computation_of_children_is_not_taken_for_others() -> None:
    before = read_counters()
    spent = "import time\nwhile time.process_time() < 0.2: pass"
    subprocess.run([sys.executable, "-c", spent], check=True)
    after = read_counters()
    assert after.own_s - before.own_s >= 0.2


@NEEDS_PROC
def test_losing_the_core_is_counted() -> None:
    with on_one_core(), burning():
        before = read_counters()
        compute(seconds=0.2)
        use = cpu_use(before, read_counters())
    assert use.preemptions > 0
    assert use.shared
