"""Tasks on the workers of a Dask cluster."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from bayeslat.errors import WorkerError
from bayeslat.parallel.connection import Connection, connect
from bayeslat.parallel.identity import describe_process, tell_difference

__all__ = ["run_on_cluster"]

_PAUSE_S = 0.02  # between two looks for what is done


@dataclass(frozen=True)
class _Work:
    """What all tasks need. Opaque to Dask, which looks into lists and tuples for its own keys."""

    function: Callable[[Any, Any], Any]
    shared: Any
    versions: Mapping[str, str]


@dataclass(frozen=True)
class _Task:
    """One task; opaque likewise."""

    content: Any


def run_on_cluster[S, T, R](
    function: Callable[[S, T], R],
    tasks: Sequence[T],
    shared: S,
    address: str,
    on_progress: Callable[[int, int], None] | None,
) -> Iterator[R]:
    """Run tasks on the workers of a Dask cluster.

    Parameters, results and errors are those of `run`.
    """
    if not tasks:
        return
    work = _Work(function, shared, describe_process())
    with connect(address) as connection:
        futures = _submit(connection, work, tasks)
        try:
            yield from _in_order(connection, futures, on_progress)
        finally:
            # What runs cannot be stopped; what has not started does not start.
            connection.cancel(futures)


def _submit(connection: Connection, work: _Work, tasks: Sequence[Any]) -> list[Any]:
    """Hand everything to the scheduler.

    What the tasks share is the result of a task itself. Scattered data are lost with the workers
    that hold them, and with them every task that reads them (dask/distributed#3149); a result is
    made again.

    Keys are tuples, which make the tasks a group of their own to Dask: it keeps a group that reads
    little else in the queue of the scheduler, for whichever worker is free, in place of giving all
    of it to the workers of this moment.
    """
    import dask

    name = uuid4().hex
    with dask.config.set({"distributed.admin.large-graph-warning-threshold": "1TB"}):
        held = connection.client.submit(_hold, work, key=("bayeslat-shared-" + name, 0))
    wrapped = [_Task(task) for task in tasks]
    keys = [(f"bayeslat-{name}", number) for number in range(len(tasks))]
    found: list[Any] = connection.client.map(_call, wrapped, work=held, key=keys)
    return found


def _in_order(
    connection: Connection,
    futures: Sequence[Any],
    on_progress: Callable[[int, int], None] | None,
) -> Iterator[Any]:
    """Take each result as soon as it is there, and yield them in order."""
    from distributed import as_completed

    number = {future.key: place for place, future in enumerate(futures)}
    completed = as_completed(futures, loop=connection.client.loop)
    waiting: dict[int, Any] = {}
    given = 0
    for done in range(1, len(futures) + 1):
        while not completed.has_ready():
            connection.watch()
            time.sleep(_PAUSE_S)
        future = next(completed)
        place = number[future.key]
        waiting[place] = connection.result(future, f"task {place + 1} of {len(futures)}")
        future.release()  # the worker need not keep it
        if on_progress is not None:
            on_progress(done, len(futures))
        while given in waiting:
            yield waiting.pop(given)
            given += 1


def _hold(work: _Work) -> _Work:
    return work


def _call(task: _Task, work: _Work) -> Any:
    """Run a task on a worker, which may have joined after the others were looked at.

    The number of threads of linear algebra is one setting of a process, where tasks run in threads
    side by side: a limit that ends with its task would end that of the others. So it stays, as it
    does in workers that Dask starts with a nanny.
    """
    from threadpoolctl import threadpool_limits

    if difference := tell_difference(describe_process(), work.versions):
        raise WorkerError(f"a worker that joined has {difference}; install the same there")
    threadpool_limits(1)
    return work.function(work.shared, task.content)
