"""Tasks on this machine."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from bayeslat.errors import WorkerError

__all__ = ["run_here"]

_ATTEMPTS = 3
"""How often processes may be killed with no task done in between."""


def run_here[S, T, R](
    function: Callable[[S, T], R],
    tasks: Sequence[T],
    shared: S,
    jobs: int,
    on_progress: Callable[[int, int], None] | None,
) -> Iterator[R]:
    """Run tasks in this process, or in several of this machine.

    Parameters, results and errors are those of `run`.
    """
    found = (
        (_call(function, shared, task) for task in tasks)
        if jobs == 1 or len(tasks) == 1
        else _in_processes(function, tasks, shared, jobs)
    )
    for done, result in enumerate(found, start=1):
        if on_progress is not None:
            on_progress(done, len(tasks))
        yield result


def _in_processes[S, T, R](
    function: Callable[[S, T], R], tasks: Sequence[T], shared: S, jobs: int
) -> Iterator[R]:
    """Yield results in order; what a killed process leaves undone runs again."""
    from joblib import Parallel, cpu_count, delayed
    from joblib.externals.loky.process_executor import TerminatedWorkerError

    jobs = max(1, cpu_count() + 1 + jobs) if jobs < 0 else jobs
    done, killed = 0, 0
    while done < len(tasks):
        left = tasks[done:]
        found = Parallel(n_jobs=min(jobs, len(left)), return_as="generator")(
            delayed(_call)(function, shared, task) for task in left
        )
        try:
            for result in found:
                done, killed = done + 1, 0
                yield result
        except TerminatedWorkerError as error:
            killed += 1
            if killed == _ATTEMPTS:
                raise WorkerError(
                    f"processes were killed {killed} times in a row at task {done + 1} of "
                    f"{len(tasks)}, as a system does that runs out of memory; run with fewer jobs"
                ) from error
        finally:
            found.close()


def _call[S, T, R](function: Callable[[S, T], R], shared: S, task: T) -> R:
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        return function(shared, task)
