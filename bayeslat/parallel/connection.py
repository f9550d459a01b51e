"""The connection to the scheduler of a Dask cluster, and what can be wrong with it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from bayeslat.errors import InputError, WorkerError
from bayeslat.parallel.identity import describe_process, tell_difference

__all__ = ["Connection", "connect"]

_CONNECT_S = 5.0
_PATIENCE_S = 60.0
"""How long a cluster may be without a worker; a new one starts in seconds, or in a minute."""
_WATCH_S = 1.0


@contextmanager
def connect(address: str) -> Iterator[Connection]:
    """Connect to a cluster while the block runs.

    Parameters
    ----------
    address : str
        Of its scheduler.

    Yields
    ------
    Connection

    Raises
    ------
    InputError
        If Dask is not installed.
    WorkerError
        If no scheduler answers within seconds, no worker is there within a minute, or one has
        another version of Python or bayeslat.
    """
    client = _open(address)
    try:
        connection = Connection(client, address)
        connection.await_worker()
        connection.compare_versions()
        yield connection
    finally:
        with suppress(OSError, TimeoutError):
            client.close(timeout=_CONNECT_S)


def _open(address: str) -> Any:
    """Return a client, or say why there is none.

    It is opened in a thread, which is left behind when it does not come back: Dask waits without
    end for a server that takes the connection and never answers.
    """
    try:
        from distributed import Client
    except ImportError as error:
        raise InputError(
            f"the engine address {address} needs Dask, which is not installed: "
            "pip install '.[scale]', or leave the address out"
        ) from error
    opened: list[Any] = []

    def attempt() -> None:
        try:
            opened.append(Client(address, timeout=_CONNECT_S, set_as_default=False))
        except (OSError, ValueError, RuntimeError, ImportError) as error:
            opened.append(error)

    thread = threading.Thread(target=attempt, daemon=True)
    thread.start()
    thread.join(2 * _CONNECT_S)
    found = opened[0] if opened else TimeoutError("the connection was taken, and nothing came back")
    if isinstance(found, Exception):
        raise WorkerError(
            f"no Dask scheduler answers at {address} ({_first_line(found)}); start one with `dask "
            "scheduler`, or correct the engine address"
        ) from found
    return found


@dataclass
class Connection:
    """A client of a cluster.

    Attributes
    ----------
    client : distributed.Client
    address : str
    """

    client: Any
    address: str
    _alone_since: float | None = field(default=None, init=False)
    _next_look: float = field(default=0.0, init=False)

    def await_worker(self) -> None:
        """Wait until there is a worker."""
        while not self._workers():
            self._bear_no_worker()
            time.sleep(0.1)
        self._alone_since = None

    def compare_versions(self) -> None:
        """Refuse workers that run other code, all at once."""
        from distributed.comm import CommClosedError

        ours = describe_process()
        answers = self.client.run(describe_process, on_error="return")
        try:
            answers["the scheduler"] = self.client.run_on_scheduler(describe_process)
        except ImportError as error:
            answers["the scheduler"] = error
        problems = []
        for where, answer in answers.items():
            if isinstance(answer, CommClosedError | OSError):
                continue  # lost since, which is nothing new
            if isinstance(answer, Exception):
                problems.append(f"{where} cannot import bayeslat ({_first_line(answer)})")
            elif difference := tell_difference(answer, ours):
                problems.append(f"{where} has {difference}")
        if problems:
            raise WorkerError(
                f"the cluster at {self.address} runs other code: {'; '.join(problems)}. Install "
                "there what is installed here"
            )

    def watch(self) -> None:
        """Look now and then whether there still is a scheduler, and a worker."""
        now = time.monotonic()
        if now < self._next_look:
            return
        self._next_look = now + _WATCH_S
        if self._workers():
            self._alone_since = None
        else:
            self._bear_no_worker()

    def result(self, future: Any, name: str) -> Any:
        """Return what a task returned, or raise what it raised.

        Parameters
        ----------
        future : distributed.Future
            Of a task that has ended.
        name : str
            Of the task.
        """
        from concurrent.futures import CancelledError

        from distributed import KilledWorker

        try:
            return future.result(timeout=_PATIENCE_S)
        except KilledWorker as error:
            raise WorkerError(
                f"{name} was on {error.allowed_failures + 1} workers that were killed, the last at "
                f"{error.last_worker.address}: their logs say why. Often it is memory: give "
                "workers more, or fewer threads. Where workers come and go, raise "
                "distributed.scheduler.allowed-failures of the cluster"
            ) from error
        except CancelledError as error:
            raise self._lost(f"{name} was cancelled: {_first_line(error)}") from error

    def cancel(self, futures: Sequence[Any]) -> None:
        """Take back what has not started."""
        if self.client.status == "running":
            with suppress(OSError, TimeoutError):
                self.client.cancel(list(futures), force=True)

    def _workers(self) -> int:
        """Count the workers."""
        try:
            return len(self.client.nthreads())
        except (OSError, ValueError, RuntimeError) as error:
            raise self._lost(_first_line(error)) from error

    def _bear_no_worker(self) -> None:
        """Count the time without a worker, and end the run when it is over."""
        now = time.monotonic()
        if self._alone_since is None:
            self._alone_since = now
        elif now - self._alone_since > _PATIENCE_S:
            raise WorkerError(
                f"the cluster at {self.address} has had no worker for {_PATIENCE_S:.0f} s; start "
                f"some with `dask worker {self.address}`. If they were lost one by one, a task "
                "kills them: their logs say how"
            )

    def _lost(self, why: str) -> WorkerError:
        return WorkerError(
            f"the connection to the scheduler at {self.address} was lost ({why}); see whether it "
            "runs, and start again"
        )


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
