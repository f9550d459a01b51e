"""What other processes did on this process's cores while it ran."""

from __future__ import annotations

import math
import os
import resource
import time
from dataclasses import dataclass
from pathlib import Path

from bayeslat.collect.machine import usable_cores

__all__ = [
    "SHARED_OTHERS_CORES",
    "SHARED_STEAL_SHARE",
    "CoreTimes",
    "CpuCounters",
    "CpuUse",
    "cpu_use",
    "read_counters",
]

SHARED_OTHERS_CORES = 0.1
"""Cores that others keep busy, on average, from which a CPU counts as shared."""
SHARED_STEAL_SHARE = 0.05
"""Share of the cores' time taken by the hypervisor, from which a CPU counts as shared."""

_STAT = Path("/proc/stat")


@dataclass(frozen=True)
class CoreTimes:
    """How the cores of this process spent their time since the machine started.

    Attributes
    ----------
    cores : frozenset of int
        Numbers of the cores.
    busy_s : float
        Core-seconds in any process or in the kernel, the hypervisor's excluded.
    steal_s : float
        Core-seconds that the hypervisor gave to other virtual machines.
    total_s : float
        All core-seconds, idle ones included.
    tick_s : float
        Resolution of the times.
    """

    cores: frozenset[int]
    busy_s: float
    steal_s: float
    total_s: float
    tick_s: float


@dataclass(frozen=True)
class CpuCounters:
    """Counters that only grow.

    Attributes
    ----------
    wall_s : float
        Wall-clock time since an arbitrary moment.
    own_s : float
        CPU time of this process, all its threads, and its children that have ended.
    preemptions : int
        How often a thread of this process lost its core to another before it was done.
    core_times : CoreTimes or None
        Times of the cores; None where the kernel does not tell.
    """

    wall_s: float
    own_s: float
    preemptions: int
    core_times: CoreTimes | None


@dataclass(frozen=True)
class CpuUse:
    """What others did during an interval; None is what the kernel does not tell.

    Attributes
    ----------
    preemptions : int
        How often a thread of this process lost its core to another.
    others_cpu : float or None
        Mean number of this process's cores that other processes kept busy.
    steal : float or None
        Share of the cores' time, 0 to 1, that the hypervisor gave to other virtual machines.
    shared : bool or None
        Whether others took more than a limit allows, beyond what the resolution leaves open.
    """

    preemptions: int
    others_cpu: float | None = None
    steal: float | None = None
    shared: bool | None = None


def read_counters(stat: Path = _STAT) -> CpuCounters:
    """Return the present counters of this process and of its cores."""
    core_times = _core_times(stat, usable_cores())
    own = resource.getrusage(resource.RUSAGE_SELF)
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return CpuCounters(
        wall_s=time.perf_counter(),
        own_s=sum(used.ru_utime + used.ru_stime for used in (own, children)),
        preemptions=own.ru_nivcsw,
        core_times=core_times,
    )


def cpu_use(before: CpuCounters, after: CpuCounters) -> CpuUse:
    """Return what others did between two readings of the counters."""
    preemptions, wall_s = after.preemptions - before.preemptions, after.wall_s - before.wall_s
    start, end = before.core_times, after.core_times
    # Other cores than before, or times that stand still (some sandboxes), say nothing.
    if start is None or end is None or start.cores != end.cores or end.total_s <= start.total_s:
        return CpuUse(preemptions)
    others_s = max(0.0, end.busy_s - start.busy_s - (after.own_s - before.own_s))
    steal_s = max(0.0, end.steal_s - start.steal_s)
    total_s = end.total_s - start.total_s
    # Each core's times are off by up to a tick, in either direction: over a short interval that
    # alone would pass the limits. The sum over the cores is off by about sqrt(cores / 6) ticks.
    open_s = 2 * end.tick_s * math.sqrt(len(end.cores))
    return CpuUse(
        preemptions,
        others_cpu=others_s / wall_s,
        steal=steal_s / total_s,
        shared=others_s > SHARED_OTHERS_CORES * wall_s + open_s
        or steal_s > SHARED_STEAL_SHARE * total_s + open_s,
    )


def _core_times(stat: Path, cores: frozenset[int]) -> CoreTimes | None:
    try:
        lines = [line.split() for line in stat.read_text(encoding="utf-8").splitlines()]
    except OSError:
        return None
    names = {f"cpu{core}" for core in cores}
    # user, nice, system, idle, iowait, irq, softirq, steal: proc_stat(5). The two columns of
    # guests that follow are part of the first two.
    ticks = [[int(n) for n in line[1:9]] for line in lines if line and line[0] in names]
    if len(ticks) != len(cores) or any(len(core) < 8 for core in ticks):
        return None
    user, nice, system, idle, iowait, irq, softirq, steal = map(sum, zip(*ticks, strict=True))
    busy = user + nice + system + irq + softirq
    total, tick_s = busy + steal + idle + iowait, 1 / os.sysconf("SC_CLK_TCK")
    return CoreTimes(cores, busy * tick_s, steal * tick_s, total * tick_s, tick_s)
