"""Dask clusters for tests: a scheduler and workers, each a process that can be killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
_START_S = 60.0


@dataclass
class Cluster:
    """A scheduler with workers on this machine."""

    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    address: str = ""
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)
    scheduler: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        file = self.folder / "scheduler.json"
        self.scheduler = self._spawn(
            "scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard",
            "--scheduler-file", str(file),
        )  # fmt: skip
        wait_until(lambda: file.exists() and file.stat().st_size > 0, "the scheduler starts")
        self.address = json.loads(file.read_text())["address"]

    def add_worker(
        self, threads: int = 1, environment: Mapping[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        worker = self._spawn(
            "worker", self.address, "--nthreads", str(threads), "--no-nanny", "--no-dashboard",
            "--memory-limit", "0", "--local-directory", str(self.folder),
            "--death-timeout", "30", environment=environment,
        )  # fmt: skip
        self.workers.append(worker)
        return worker

    def await_workers(self, count: int) -> None:
        from distributed import Client

        with Client(self.address, set_as_default=False) as client:
            wait_until(lambda: len(client.nthreads()) == count, f"{count} workers are there")

    def kill(self, worker: subprocess.Popen[bytes]) -> None:
        """Kill a worker as a machine that fails would."""
        worker.send_signal(signal.SIGKILL)
        worker.wait()

    def log(self, process: subprocess.Popen[bytes]) -> str:
        return (self.folder / f"{process.pid}.log").read_text(errors="replace")

    def stop(self) -> None:
        for process in [*self.workers, *([self.scheduler] if self.scheduler else [])]:
            process.kill()
            process.wait()

    def _spawn(
        self, *words: str, environment: Mapping[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        own = {
            **os.environ,
            "PYTHONPATH": str(ROOT),  # for the functions of tests
            "DASK_DISTRIBUTED__WORKER__DAEMON": "False",
            **self.environment,
            **(environment or {}),
        }
        log = self.folder / f"log_{time.monotonic_ns()}"
        with log.open("wb") as stream:
            process = subprocess.Popen(
                [sys.executable, "-m", "dask", *words],
                stdout=stream,
                stderr=subprocess.STDOUT,
                env=own,
                cwd=self.folder,
            )
        log.rename(self.folder / f"{process.pid}.log")
        return process


@contextmanager
def cluster(
    folder: Path, workers: int = 2, threads: int = 1, environment: Mapping[str, str] | None = None
) -> Iterator[Cluster]:
    """Run a cluster while the block runs."""
    found = Cluster(folder, environment or {})
    try:
        found.start()
        for _ in range(workers):
            found.add_worker(threads)
        found.await_workers(workers)
        yield found
    finally:
        found.stop()


def wait_until(true: Callable[[], object], what: str, timeout_s: float = _START_S) -> None:
    """Wait for something that another process does."""
    end = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < end, f"waited {timeout_s:.0f} s in vain until {what}"
        time.sleep(0.05)
