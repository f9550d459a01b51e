"""The logger writes everything, and whatever happens to it, the server does not notice."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bayeslat.serving import engine_logger, troubles, writer
from bayeslat.serving.engine_logger import EngineLogger, open_logger
from bayeslat.serving.settings import Settings
from tests.serving import vllm_stats as vllm
from tests.serving.logs import files_of, kinds_of, rows_of

PATIENCE_S = 20.0


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    yield
    names = [thread.name for thread in threading.enumerate()]
    assert "bayeslat-log" not in names


def _open(folder: Path, **settings: Any) -> EngineLogger:
    return EngineLogger(Settings(folder, flush_s=0.01, **settings), vllm.config(), 0)


def _wait_for(condition: Any) -> None:
    until = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < until, "in vain"
        time.sleep(0.01)


def _finished(index: int) -> vllm.FinishedRequestStats:
    return vllm.FinishedRequestStats("length", f"r{index}", 0.05, 10, 0, 3, 3, 0.01, 0.01, 0.03)


def _told(logger: EngineLogger, first: int, last: int) -> None:
    """Tell iterations, of which every fifth finishes a request."""
    for index in range(first, last):
        finished = [_finished(index)] if index % 5 == 0 else []
        logger.record(*vllm.iteration(index, 100.0 + 0.01 * index, finished=finished))


def test_every_iteration_and_request_is_written(tmp_path: Path) -> None:
    logger = _open(tmp_path)
    _told(logger, 0, 1000)
    logger.close()
    rows = rows_of(tmp_path)
    steps = [row for row in rows if row["kind"] == "step"]
    requests = [row for row in rows if row["kind"] == "request"]
    assert [row["iteration"] for row in steps] == list(range(1000))
    assert [row["id"] for row in requests] == [f"r{index}" for index in range(0, 1000, 5)]
    assert [row["iteration"] for row in requests] == list(range(0, 1000, 5))
    # Queued 0.04 s before its end, half an iteration after another.
    assert [row["met_iteration"] for row in requests[2:4]] == [6, 11]
    assert rows[0]["kind"] == "server"
    assert rows[-1]["kind"] == "end"
    assert rows[-1]["errors"] == 0


def test_rows_reach_the_disk_while_the_server_runs(tmp_path: Path) -> None:
    logger = _open(tmp_path)
    _told(logger, 0, 20)
    _wait_for(lambda: kinds_of(tmp_path)["step"] == 20)
    logger.close()


def test_files_follow_each_other_and_the_oldest_go(tmp_path: Path) -> None:
    logger = _open(tmp_path, max_file_bytes=20_000, max_files=3)
    _told(logger, 0, 2000)
    logger.close()
    files = files_of(tmp_path)
    assert len(files) == 3
    assert sum(path.stat().st_size for path in files) < 3 * 30_000
    rows = rows_of(tmp_path)
    servers = [row for row in rows if row["kind"] == "server"]
    assert len(servers) == 3
    assert len({row["run"] for row in servers}) == 1
    iterations = [row["iteration"] for row in rows if row["kind"] == "step"]
    assert iterations == list(range(iterations[0], 2000))


def test_engines_and_runs_do_not_share_files(tmp_path: Path) -> None:
    loggers = [
        EngineLogger(Settings(tmp_path, flush_s=0.01), vllm.config(), engine)
        for engine in (0, 0, 1, 1)
    ]
    for logger in loggers:
        _told(logger, 0, 10)
        logger.close()
    assert len(files_of(tmp_path)) == 4
    assert kinds_of(tmp_path) == {"server": 4, "step": 40, "request": 8, "end": 4}


def test_what_does_not_fit_the_queue_is_dropped_and_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hangs = threading.Event()
    drain = writer.Writer.drain

    def wait_and_drain(self: writer.Writer) -> None:
        hangs.wait()
        drain(self)

    monkeypatch.setattr(writer.Writer, "drain", wait_and_drain)
    logger = _open(tmp_path, queue_length=100)
    started = time.monotonic()
    _told(logger, 0, 250)
    assert time.monotonic() - started < 1.0, "the server waited"
    hangs.set()
    _wait_for(lambda: not logger._queue)
    _told(logger, 250, 300)
    logger.close()
    rows = rows_of(tmp_path)
    assert [row["iteration"] for row in rows if row["kind"] == "step"] == [
        *range(100),
        *range(250, 300),
    ]
    lost = [row for row in rows if row["kind"] == "lost"]
    assert lost == [{"kind": "lost", "rows": 150, "reason": "the queue was full"}]


@pytest.fixture
def warnings_told(caplog: pytest.LogCaptureFixture) -> Iterator[list[str]]:
    """Collect what the server's log is told; vLLM's loggers hand nothing to the root."""
    with caplog.at_level(logging.INFO, "vllm.bayeslat"):
        messages: list[str] = []
        troubles._LOG.addHandler(handler := _Collector(messages))
        yield messages
        troubles._LOG.removeHandler(handler)


class _Collector(logging.Handler):
    def __init__(self, messages: list[str]) -> None:
        super().__init__(logging.WARNING)
        self._messages = messages

    def emit(self, record: logging.LogRecord) -> None:
        self._messages.append(record.getMessage())


def test_a_server_that_times_no_steps_is_told_when_it_starts(
    tmp_path: Path, warnings_told: list[str]
) -> None:
    config = vllm.config()
    EngineLogger(Settings(tmp_path / "a"), config, 0).close()
    assert warnings_told == []
    config.observability_config.enable_logging_iteration_details = False
    EngineLogger(Settings(tmp_path / "b"), config, 0).close()
    (told,) = warnings_told
    assert "add --enable-logging-iteration-details" in told


def test_a_folder_that_cannot_be_made_is_told_once(
    tmp_path: Path, warnings_told: list[str]
) -> None:
    (tmp_path / "file").write_text("not a folder")
    logger = _open(tmp_path / "file" / "logs")
    for index in range(20):
        _told(logger, index, index + 1)
        time.sleep(0.02)
    logger.close()
    assert len(warnings_told) == 1
    assert "the log cannot be written" in warnings_told[0]
    assert "told once" in warnings_told[0]


def test_a_disk_that_comes_back_gets_the_rest_and_the_count_of_what_is_missing(
    tmp_path: Path, warnings_told: list[str]
) -> None:
    folder = tmp_path / "logs"
    folder.write_text("in the way")
    logger = _open(folder)
    _told(logger, 0, 50)
    _wait_for(lambda: warnings_told)
    _wait_for(lambda: not logger._queue)
    folder.unlink()
    _told(logger, 50, 100)
    logger.close()
    rows = rows_of(folder)
    kept = [row["iteration"] for row in rows if row["kind"] == "step"]
    lost = sum(row["rows"] for row in rows if row["kind"] == "lost")
    assert kept[-50:] == list(range(50, 100))
    assert len(kept) + sum(row["kind"] == "request" for row in rows) + lost == 100 + 20
    assert lost > 0
    assert rows[-1]["errors"] > 0


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_write_permission_does_not_stop_the_server(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    logger = _open(tmp_path)
    _told(logger, 0, 10)
    logger.close()
    tmp_path.chmod(0o700)
    assert files_of(tmp_path) == []


class _Strange:
    """Stats of a vLLM to come: every field fails."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(name)


class _Unprintable:
    def __str__(self) -> str:
        raise RuntimeError("unprintable")


def test_strange_stats_cost_no_other_rows(tmp_path: Path, warnings_told: list[str]) -> None:
    logger = _open(tmp_path)
    unserialisable = vllm.FinishedRequestStats(_Unprintable(), "r")
    for told in (
        *((None, None), (_Strange(), _Strange()), (3, "x"), (None, vllm.IterationStats())),
        (vllm.SchedulerStats(iteration_details="x"), None),
        (None, vllm.IterationStats(finished_requests=[None, 3, _Strange()])),
        (None, vllm.IterationStats(finished_requests=3)),  # type: ignore[arg-type]
        (None, vllm.IterationStats(finished_requests=[unserialisable])),
        (None, vllm.IterationStats(finished_requests=[unserialisable])),
    ):
        logger.record(*told)
        _told(logger, 0, 1)
    logger.close()
    rows = rows_of(tmp_path)
    assert sum(row.get("iteration") == 0 for row in rows if row["kind"] == "step") == 9
    assert sum(row["rows"] for row in rows if row["kind"] == "lost") == 2
    assert rows[-1]["errors"] == 2
    assert len(warnings_told) == 1


def test_a_broken_queue_does_not_raise(tmp_path: Path, warnings_told: list[str]) -> None:
    logger = _open(tmp_path)
    queue, logger._queue = logger._queue, None  # type: ignore[assignment]
    _told(logger, 0, 3)
    logger._queue = queue
    logger.close()
    assert len(warnings_told) == 1


def test_a_fork_leaves_the_log_to_its_parent(tmp_path: Path) -> None:
    logger = _open(tmp_path)
    _told(logger, 0, 10)
    parent, logger._process = logger._process, -1
    logger.close()
    logger._process = parent
    assert kinds_of(tmp_path)["end"] == 0
    logger.close()
    logger.close()
    assert kinds_of(tmp_path)["end"] == 1


def test_a_disk_that_hangs_does_not_hold_up_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hangs = threading.Event()
    monkeypatch.setattr(engine_logger, "_LEAVE_S", 0.1)
    monkeypatch.setattr(writer.Writer, "drain", lambda self: hangs.wait())
    logger = _open(tmp_path)
    _told(logger, 0, 10)
    time.sleep(0.05)
    started = time.monotonic()
    logger.close()
    assert time.monotonic() - started < 2.0
    hangs.set()
    logger._thread.join()


def test_the_environment_decides(tmp_path: Path, warnings_told: list[str]) -> None:
    assert open_logger(vllm.config(), 0, {}) is None
    environ = {"BAYESLAT_LOG_DIR": str(tmp_path / "logs"), "BAYESLAT_LOG_MAX_FILES": "none"}
    logger = open_logger(vllm.config(), 0, environ)
    assert logger is not None
    _told(logger, 0, 3)
    logger.close()
    assert kinds_of(tmp_path / "logs")["step"] == 3
    assert len(warnings_told) == 1
    assert "BAYESLAT_LOG_MAX_FILES" in warnings_told[0]


def test_a_logger_that_cannot_be_made_is_none(
    monkeypatch: pytest.MonkeyPatch, warnings_told: list[str]
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", broken)
    assert open_logger(vllm.config(), 0, {"BAYESLAT_LOG_DIR": "x"}) is None
    assert "can't start new thread" in warnings_told[0]
