"""With vLLM itself, where it is installed: its own environment, beside the project's.

There: `python -m pytest --noconftest -p no:cacheprovider tests/serving`.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from bayeslat.serving.rows import request_row, step_row
from tests.serving import vllm_stats
from tests.serving.logs import rows_of


@pytest.fixture(scope="module")
def stats() -> Any:
    return pytest.importorskip("vllm.v1.metrics.stats", reason="vLLM is not installed")


@pytest.mark.parametrize(
    "name",
    ["SchedulerStats", "SchedulerIterationDetails", "PrefixCacheStats", "FinishedRequestStats"],
)
def test_the_stand_ins_have_the_fields_of_vllm(stats: Any, name: str) -> None:
    theirs = {field.name for field in dataclasses.fields(getattr(stats, name))}
    ours = {field.name for field in dataclasses.fields(getattr(vllm_stats, name))}
    assert ours <= theirs


def test_the_stand_in_of_an_iteration_has_the_fields_of_vllm(stats: Any) -> None:
    ours = {field.name for field in dataclasses.fields(vllm_stats.IterationStats)}
    assert ours <= set(vars(stats.IterationStats()))


def test_rows_of_stats_of_vllm_are_complete(stats: Any) -> None:
    from vllm.v1.metrics.perf import PerfStats
    from vllm.v1.spec_decode.metrics import SpecDecodingStats

    details = stats.SchedulerIterationDetails(1, 1, 100, 2, 2, 9.5)
    scheduler = stats.SchedulerStats(
        iteration_details=details,
        spec_decoding_stats=SpecDecodingStats(3),
        perf_stats=PerfStats(1, 2, 3),
    )
    iteration = stats.IterationStats()
    iteration.inter_token_latencies_iter = [0.01]
    step = step_row(1.0, scheduler, iteration)
    ours = step_row(1.0, *_stand_ins())
    assert set(step) == set(ours)
    theirs, stand_in = (
        each.FinishedRequestStats("length", "r", max_tokens_param=3) for each in (stats, vllm_stats)
    )
    assert set(request_row(2.0, step, theirs, step)) == set(request_row(2.0, ours, stand_in, ours))


def _stand_ins() -> tuple[Any, Any]:
    scheduler, iteration = vllm_stats.iteration(1, 1.0)
    scheduler.spec_decoding_stats = vllm_stats.SpecDecodingStats()
    scheduler.perf_stats = vllm_stats.PerfStats()
    return scheduler, iteration


def test_vllm_finds_makes_and_calls_it(
    stats: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vllm.v1.metrics.loggers import (
        PerEngineStatLoggerAdapter,
        load_stat_logger_plugin_factories,
    )

    monkeypatch.setenv("BAYESLAT_LOG_DIR", str(tmp_path))
    own = [
        factory
        for factory in load_stat_logger_plugin_factories()
        if factory.__module__ == "bayeslat.serving.vllm_plugin"
    ]
    assert len(own) == 1
    adapter = PerEngineStatLoggerAdapter(vllm_stats.config(), [0, 1], own[0])
    adapter.log_engine_initialized()
    for engine in (0, 1):
        adapter.record(stats.SchedulerStats(), stats.IterationStats(), None, engine)
    adapter.log()
    adapter.record_sleep_state(1, 0)
    for logger in adapter.per_engine_stat_loggers.values():
        logger._logger.close()
    rows = rows_of(tmp_path)
    assert sorted(row["engine"] for row in rows if row["kind"] == "server") == [0, 1]
    assert sum(row["kind"] == "step" for row in rows) == 2
