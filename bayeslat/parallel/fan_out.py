"""The one interface of every fan-out."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from math import inf

from bayeslat.errors import InputError
from bayeslat.finite import is_count, tell_count
from bayeslat.parallel.here import run_here

__all__ = ["check_workers", "run"]

_ADDRESS = re.compile(r"(tcp|tls)://(\[[0-9a-fA-F:.]+\]|[^\s:/\[\]]+):(\d{1,5})")
_LAST_PORT = 65_535


def run[S, T, R](
    function: Callable[[S, T], R],
    tasks: Sequence[T],
    shared: S,
    *,
    jobs: int = 1,
    engine_address: str | None = None,
    worthwhile: bool = True,
    on_progress: Callable[[int, int], None] | None = None,
) -> Iterator[R]:
    """Call a function on every task.

    Results do not depend on where, in which order and how often a task runs, as long as the
    function depends on its arguments alone: it draws from a seed of the task, and changes nothing.
    Linear algebra has one thread a task, everywhere.

    A worker that is lost costs the tasks that it had, which run again elsewhere. The first error of
    a task ends the run, and is raised as it is; so does an interrupt. What was not started then is
    cancelled. So is what is left when the iterator is closed, or thrown away.

    Parameters
    ----------
    function : callable (shared, task)
        Importable by its name on a cluster: no lambda, nothing defined in a script.
    tasks : sequence
        Small: each is sent on its own.
    shared : object
        What all tasks read. A cluster gets it once.
    jobs : int
        Processes on this machine; -1: one a core. With 1, tasks run in this process.
    engine_address : str, optional
        Of the scheduler of a Dask cluster, as in `tcp://10.0.0.7:8786`, which runs the tasks in
        place of this machine.
    worthwhile : bool
        Whether the tasks take longer than others need to start; else they run in this process.
    on_progress : callable (done, total), optional
        Told after each task, in this thread.

    Yields
    ------
    object
        What the function returned, in the order of the tasks.

    Raises
    ------
    InputError
        If `jobs` is 0 or the address is none.
    WorkerError
        If the cluster cannot be reached, has another version of Python or bayeslat, or loses its
        workers for good; or if processes of this machine are killed again and again.
    """
    check_workers(jobs, engine_address)
    if not worthwhile:
        return run_here(function, tasks, shared, 1, on_progress)
    if engine_address is None:
        return run_here(function, tasks, shared, jobs, on_progress)
    from bayeslat.parallel.cluster import run_on_cluster  # Dask: an extra, and heavy

    return run_on_cluster(function, tasks, shared, engine_address, on_progress)


def check_workers(jobs: int, engine_address: object) -> None:
    """Refuse workers that cannot be, before long work starts.

    Parameters
    ----------
    jobs : int
    engine_address : str or None

    Raises
    ------
    InputError
        If `jobs` is 0 or no whole number, or the address is not that of a scheduler.
    """
    problems = []
    if jobs == 0 or not is_count(jobs, -inf):
        problems.append(
            f"jobs is {tell_count(jobs)}; give a number of processes, or -1 for one a core"
        )
    if engine_address is not None:
        found = _ADDRESS.fullmatch(engine_address) if isinstance(engine_address, str) else None
        if found is None or not 0 < int(found[3]) <= _LAST_PORT:
            problems.append(
                f"engine address is {engine_address!r}; give that of a Dask scheduler, as in "
                "tcp://10.0.0.7:8786"
            )
    if problems:
        raise InputError("; ".join(problems))
