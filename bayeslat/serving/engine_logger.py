"""The logger of one engine: what the server's loop hands over, and the thread that takes it."""

from __future__ import annotations

import atexit
import os
import secrets
import threading
import time
from collections import deque
from collections.abc import Mapping

from bayeslat.serving.files import LineFiles
from bayeslat.serving.read_fields import field_at
from bayeslat.serving.server_row import server_row
from bayeslat.serving.settings import Settings, read_settings
from bayeslat.serving.troubles import Troubles, tell
from bayeslat.serving.writer import Told, Writer, to_line

__all__ = ["EngineLogger", "open_logger"]

_DETAILS = "observability_config.enable_logging_iteration_details"
_LEAVE_S = 5.0  # how long the end of the server waits for the thread to get on


class EngineLogger:
    """Logs one engine into files of its own.

    Parameters
    ----------
    settings : Settings
    vllm_config : VllmConfig
    engine : int
        Which engine of a data-parallel server.
    """

    def __init__(self, settings: Settings, vllm_config: object, engine: int) -> None:
        run = secrets.token_hex(4)
        stem = f"vllm-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{run}-e{engine}"
        self._queue: deque[Told] = deque()
        self._length = settings.queue_length
        self._overflow = 0
        self._troubles = Troubles()
        files = LineFiles(
            settings.folder,
            stem,
            lambda file: to_line(server_row(vllm_config, engine, run, file)),
            settings.max_file_bytes,
            settings.max_files,
        )
        self._writer = Writer(self._queue, files, self._troubles, lambda: self._overflow)
        self._flush_s = settings.flush_s
        self._stop = threading.Event()
        self._process = os.getpid()
        self._thread = threading.Thread(target=self._run, name="bayeslat-log", daemon=True)
        self._thread.start()
        atexit.register(self.close)
        tell(f"every iteration is logged in {settings.folder}/{stem}.*.jsonl", level=20)
        if field_at(vllm_config, _DETAILS) is False:
            tell("steps are logged without times: add --enable-logging-iteration-details")

    def record(self, scheduler_stats: object, iteration_stats: object) -> None:
        """Take what one iteration told; runs in the server's loop.

        vLLM makes new objects for every iteration and hands them out to be read, so it is enough
        to keep them: all reading is left to the thread.
        """
        try:
            if scheduler_stats is None and iteration_stats is None:
                return
            if len(self._queue) >= self._length:
                self._overflow += 1
                return
            self._queue.append((time.time(), scheduler_stats, iteration_stats))
        except Exception as error:  # noqa: BLE001 - a server does not stop for its logger
            self._troubles.note("an iteration was not taken", error)

    def close(self) -> None:
        """Write all that was taken, and end the files."""
        if self._stop.is_set() or os.getpid() != self._process:  # a fork has no thread
            return
        self._stop.set()
        left = len(self._queue) + 1
        while self._thread.is_alive() and len(self._queue) < left:
            left = len(self._queue)
            self._thread.join(_LEAVE_S)
        if not self._thread.is_alive():  # else the disk hangs, and the server would with it
            self._writer.finish()
        atexit.unregister(self.close)

    def _run(self) -> None:
        while not self._stop.wait(self._flush_s):
            self._writer.drain()


def open_logger(
    vllm_config: object, engine: int, environ: Mapping[str, str] = os.environ
) -> EngineLogger | None:
    """Return the logger that the environment asks for; None where it asks for none.

    Parameters
    ----------
    vllm_config : VllmConfig
    engine : int
    environ : mapping of str to str
        The environment.
    """
    try:
        settings, problems = read_settings(environ)
        for problem in problems:
            tell(problem)
        return None if settings is None else EngineLogger(settings, vllm_config, engine)
    except Exception as error:  # noqa: BLE001 - a server starts without its logger, too
        Troubles().note("the server is not logged", error)
        return None
