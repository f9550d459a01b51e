"""What the tests of fan-outs run on workers: functions that those can import by name."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from bayeslat.errors import InputError, TraceError
from bayeslat.traces.violations import TABLE, Violation


def add(shared: int, task: int) -> int:
    return shared + task


def draw(shared: Any, task: int) -> float:
    """A result that would show another seed, and linear algebra with other threads."""
    rng = np.random.default_rng([shared, task])
    matrix = rng.standard_normal((200, 200))
    return float(np.linalg.slogdet(matrix @ matrix.T)[1])


def mark_and_draw(shared: tuple[str, float, int], task: int) -> float:
    """Leave a file that tells where the task runs, and take a while."""
    folder, seconds, seed = shared
    started = time.monotonic_ns()
    (Path(folder) / f"{task}.{os.getpid()}.{started}").touch()
    time.sleep(seconds)
    return draw(seed, task)


def draw_or_stay(shared: tuple[str, int, int], task: int) -> float:
    """Leave a file that tells where the task runs.

    From task 2 on, one process never ends what it runs, and the others wait until it has begun.
    """
    folder, stays_in, seed = shared
    (Path(folder) / f"{task}.{os.getpid()}.runs").touch()
    if task >= 2 and os.getpid() == stays_in:
        (Path(folder) / f"{task}.stays").touch()
        time.sleep(600.0)
    while task >= 2 and not any(Path(folder).glob("*.stays")):
        time.sleep(0.01)
    return draw(seed, task)


def refuse(shared: int, task: int) -> int:
    if task == shared:
        raise InputError(f"task {task} has a value that it cannot take")
    return task


def refuse_rows(shared: int, task: int) -> int:
    raise TraceError("2 rows break a rule", (Violation(TABLE, (task,), None, "a rule"),) * shared)


def fail(shared: int, task: int) -> int:
    return task // shared


def die(shared: int, task: int) -> int:
    """Kill the process, as a system does that runs out of memory."""
    if task == shared:
        os.kill(os.getpid(), signal.SIGKILL)
    return task


def die_once(shared: str, task: int) -> int:
    """Kill the process that runs the task first."""
    mark = Path(shared) / "died"
    if task == 1 and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return task


def threads(shared: Any, task: int) -> int:
    """Count the threads of linear algebra, when a task beside this one may have ended."""
    from threadpoolctl import threadpool_info

    time.sleep(0.1 * task)
    np.linalg.svd(np.ones((50, 50)))
    return max(each["num_threads"] for each in threadpool_info() if each["user_api"] == "blas")


def call(shared: Callable[[int], int], task: int) -> int:
    return shared(task)


@dataclass
class Counted:
    """A value that counts how often this process sends it."""

    value: int
    sent: ClassVar[int] = 0

    def __reduce__(self) -> tuple[Any, ...]:
        Counted.sent += 1
        return Counted, (self.value,)


def add_counted(shared: Counted, task: int) -> int:
    return shared.value + task


def say_type(shared: Any, task: Any) -> tuple[str, Any]:
    return type(task).__name__, task
