"""The class that vLLM makes: a subclass of its base, whatever else that base asks for."""

from __future__ import annotations

import importlib
import sys
from abc import ABC, abstractmethod
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.serving import vllm_stats as vllm
from tests.serving.logs import kinds_of

MODULE = "bayeslat.serving.vllm_plugin"


class Base(ABC):
    """`StatLoggerBase` of vLLM 0.32."""

    @abstractmethod
    def __init__(self, vllm_config: Any, engine_index: int = 0) -> None: ...

    @abstractmethod
    def record(
        self, scheduler_stats: Any, iteration_stats: Any, mm_cache_stats: Any, engine_idx: int
    ) -> None: ...

    @abstractmethod
    def log_engine_initialized(self) -> None: ...

    def log(self) -> None:
        return None

    def record_sleep_state(self, is_awake: int, level: int) -> None:
        return None


class LaterBase(Base):
    """One that has come to ask for more."""

    @abstractmethod
    def record_weather(self, rain_mm: float) -> None: ...


@pytest.fixture(params=[Base, LaterBase])
def plugin(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    names = ["vllm", "vllm.v1", "vllm.v1.metrics", "vllm.v1.metrics.loggers"]
    for name in names:
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    sys.modules[names[-1]].StatLoggerBase = request.param  # type: ignore[attr-defined]
    monkeypatch.delitem(sys.modules, MODULE, raising=False)
    found = importlib.import_module(MODULE).StatLogger
    assert issubclass(found, request.param)
    yield found
    sys.modules.pop(MODULE, None)


def test_it_is_registered_where_vllm_looks() -> None:
    found = entry_points(group="vllm.stat_logger_plugins", name="bayeslat")
    if not found:
        pytest.skip("bayeslat is not installed here, or before it had this entry point")
    assert {point.value for point in found} == {f"{MODULE}:StatLogger"}


def test_it_logs_what_vllm_hands_over(
    plugin: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BAYESLAT_LOG_DIR", str(tmp_path))
    logger = plugin(vllm.config(), 0)
    logger.log_engine_initialized()
    for index in range(10):
        scheduler, stats = vllm.iteration(index, float(index))
        logger.record(
            scheduler_stats=scheduler, iteration_stats=stats, mm_cache_stats=None, engine_idx=0
        )
    logger.record(None, None, mm_cache_stats=None, engine_idx=0)
    logger.record(*vllm.iteration(10, 10.0), None, 0, something_new=1)
    logger.log()
    logger.record_sleep_state(1, 0)
    getattr(logger, "record_weather", print)(0.0)
    logger._logger.close()
    assert kinds_of(tmp_path) == {"server": 1, "step": 11, "end": 1}


def test_unasked_it_does_nothing(
    plugin: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BAYESLAT_LOG_DIR", raising=False)
    monkeypatch.chdir(tmp_path)
    logger = plugin(vllm_config=vllm.config(), engine_index=0)
    logger.record(*vllm.iteration(0, 0.0), None, 0)
    logger.log_engine_initialized()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_used_does_not_stop_the_server(
    plugin: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("BAYESLAT_LOG_DIR", str(tmp_path / "file"))
    logger = plugin(None, 0)
    logger.record(*vllm.iteration(0, 0.0), None, 0)
    logger._logger.close()
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
