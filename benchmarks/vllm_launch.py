"""Starts vLLM's server with a stopwatch at the logger; run by the Python of vLLM's environment.

With `BAYESLAT_STOPWATCH` set to a file, every call of the logger's `record` in the serving loop is
timed, with the processor time of the logger's thread, and SIGUSR1 switches the logger off and on.
At its end the server writes what it counted.
"""

from __future__ import annotations

import atexit
import json
import os
import runpy
import signal
import threading
import time
from pathlib import Path
from typing import Any


class Stopwatch:
    """Times the calls of `record`, and the iterations while the logger is on and off."""

    def __init__(self, path: Path) -> None:
        from bayeslat.serving.vllm_plugin import StatLogger

        self.path = path
        self.on = True
        self.calls_ns: list[int] = []
        self.ends: list[tuple[float, bool, int]] = []  # s, on or off, output tokens
        self.thread_s: list[tuple[int, float]] = []  # calls so far, processor time of the thread
        self._record = StatLogger.record
        StatLogger.record = self._timed()  # type: ignore[method-assign]
        signal.signal(signal.SIGUSR1, self._switch)
        atexit.register(self._write)

    def _timed(self) -> Any:
        def record(
            logger: Any, scheduler_stats: Any = None, iteration_stats: Any = None, **more: Any
        ) -> None:
            if iteration_stats is not None:
                tokens = iteration_stats.num_generation_tokens
                self.ends.append((time.monotonic(), self.on, tokens))
            if self.on:
                started = time.perf_counter_ns()
                self._record(logger, scheduler_stats, iteration_stats, **more)
                self.calls_ns.append(time.perf_counter_ns() - started)
                if len(self.calls_ns) % 100 == 0:
                    self._look_at_thread()

        return record

    def _look_at_thread(self) -> None:
        for thread in threading.enumerate():
            if thread.name == "bayeslat-log" and thread.ident is not None:
                clock = time.pthread_getcpuclockid(thread.ident)
                self.thread_s.append((len(self.calls_ns), time.clock_gettime(clock)))

    def _switch(self, *_: object) -> None:
        self.on = not self.on

    def _write(self) -> None:
        content = {"calls_ns": self.calls_ns, "ends": self.ends, "thread_s": self.thread_s}
        self.path.write_text(json.dumps(content), encoding="utf-8")


if __name__ == "__main__":  # the engine's processes import this file, and serve nothing
    if "BAYESLAT_STOPWATCH" in os.environ:
        STOPWATCH = Stopwatch(Path(os.environ["BAYESLAT_STOPWATCH"]))
    runpy.run_module("vllm.entrypoints.openai.api_server", run_name="__main__", alter_sys=True)
