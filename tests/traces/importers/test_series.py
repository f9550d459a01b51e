"""Files that go on from one another are read as one, and what is said twice is read once."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bayeslat.serving.engine_logger import EngineLogger
from bayeslat.serving.settings import Settings as LoggerSettings
from bayeslat.traces.importers.convert import Settings, import_traces
from bayeslat.traces.importers.registry import find_importer
from tests.serving import vllm_stats as vllm
from tests.traces.importers.cases import write_case
from tests.traces.importers.workload import make_requests

STEPS, OUTPUTS = 200, 40


def iterations() -> list[tuple[Any, Any]]:
    """Return a request every ten steps: its prompt, and a token in each of forty steps."""
    told = []
    for step in range(STEPS):
        running = [first for first in range(0, STEPS, 10) if first <= step < first + OUTPUTS]
        decode = sum(first < step for first in running)
        finished = [each for each in running if each + OUTPUTS - 1 == step]
        told.append(
            vllm.iteration(
                step,
                1000.0 + 0.01 * step,
                prefill=(1, 100) if step % 10 == 0 else (0, 0),
                decode=(decode, decode),
                elapsed_ms=9.0,
                running=len(running) - len(finished),
                waiting=0,
                kv_usage=0.05 * len(running),
                finished=[
                    vllm.FinishedRequestStats(
                        "length",
                        f"r{first}",
                        e2e_latency=0.01 * OUTPUTS + 0.003,
                        num_prompt_tokens=100,
                        num_generation_tokens=OUTPUTS,
                        num_cached_tokens=0,
                        queued_time=0.0,
                        prefill_time=0.01,
                        decode_time=0.01 * (OUTPUTS - 1),
                        inference_time=0.01 * OUTPUTS,
                    )
                    for first in finished
                ],
            )
        )
    return told


def write_log(folder: Path, max_file_bytes: int) -> list[Path]:
    """Log an engine that answers to one front end."""
    folder.mkdir()
    logger = EngineLogger(LoggerSettings(folder, max_file_bytes), vllm.config(), 0)
    for scheduler, iteration in iterations():
        logger.record(scheduler, iteration)
    logger.close()
    return sorted(folder.glob("*.jsonl"))


def write_front_ends(folder: Path, max_file_bytes: int, count: int = 3) -> list[Path]:
    """Log the same engine as front ends do that each send it every third request.

    It tells of a step to one of those that have a request in it, and a message later to others.
    """
    folder.mkdir()
    config = vllm.config()
    config.parallel_config._api_process_count = count
    loggers = [
        EngineLogger(LoggerSettings(folder, max_file_bytes), config, 0) for _ in range(count)
    ]
    for step, (scheduler, iteration) in enumerate(iterations()):
        whose = [int(each.request_id[1:]) // 10 % count for each in iteration.finished_requests]
        told = step // 7 % count
        for place, logger in enumerate(loggers):
            finished = [
                each
                for owner, each in zip(whose, iteration.finished_requests, strict=True)
                if owner == place
            ]
            if place == told or finished:
                own = replace(iteration, finished_requests=finished)
                own.iteration_timestamp += 0.0005 * (place != told)
                logger.record(scheduler if place == told else None, own)
    for logger in loggers:
        logger.close()
    return sorted(folder.glob("*.jsonl"))


def convert(name: str, sources: list[Path], out: Path) -> tuple[pd.DataFrame, tuple[str, ...]]:
    done = import_traces(find_importer(name), sources, out, Settings(gpu="h100_sxm"))
    return pd.read_parquet(out), done.notes


def test_files_of_an_engine_are_like_one(tmp_path: Path) -> None:
    (one,) = write_log(tmp_path / "one", 1 << 30)
    several = write_log(tmp_path / "several", 12_000)
    assert len(several) > 3
    whole, notes = convert("vllm_logger", [one], tmp_path / "whole.parquet")
    parts, told = convert("vllm_logger", several[::-1], tmp_path / "parts.parquet")
    same = [name for name in whole if name != "run"]
    pd.testing.assert_frame_equal(parts[same], whole[same])
    assert parts["run"].nunique() == 1
    assert told == notes


def test_what_an_engine_left_in_a_file_that_is_lost_is_not_known(tmp_path: Path) -> None:
    kept = write_log(tmp_path / "logs", 12_000)[1:]
    trace, _ = convert("vllm_logger", kept, tmp_path / "trace.parquet")
    steps = trace[trace["t_step_ms"].notna()].sort_values("step_id")
    assert steps[["running", "kv_usage"]].iloc[0].isna().all()
    assert steps[["running", "kv_usage"]].iloc[1:].notna().all(axis=None)


@pytest.mark.parametrize("max_file_bytes", [1 << 30, 12_000])
def test_front_ends_of_an_engine_are_like_one(tmp_path: Path, max_file_bytes: int) -> None:
    """`vllm serve` starts as many as there are data-parallel engines, if nobody says otherwise."""
    (one,) = write_log(tmp_path / "one", 1 << 30)
    several = write_front_ends(tmp_path / "several", max_file_bytes)
    whole, notes = convert("vllm_logger", [one], tmp_path / "whole.parquet")
    parts, told = convert("vllm_logger", several[::-1], tmp_path / "parts.parquet")
    assert parts["run"].nunique() == 1
    assert told == notes
    of_clocks = {"run", "t_admission_ms", "arrived_s"}  # a message later
    same = [name for name in whole if name not in of_clocks]
    pd.testing.assert_frame_equal(parts[same], whole[same])


def test_a_front_end_whose_log_is_missing_is_told(tmp_path: Path) -> None:
    first, *rest = write_front_ends(tmp_path / "logs", 1 << 30)
    _, notes = convert("vllm_logger", rest, tmp_path / "two.parquet")
    assert any("answered to 3 front ends, of which 2 wrote these files" in note for note in notes)
    _, notes = convert("vllm_logger", [first], tmp_path / "one.parquet")
    assert any("of which 1 wrote these files" in note for note in notes)


def test_two_engines_stay_two_runs(tmp_path: Path) -> None:
    files = [path for name in ("a", "b") for path in write_log(tmp_path / name, 1 << 30)]
    trace, _ = convert("vllm_logger", files, tmp_path / "trace.parquet")
    assert trace["run"].value_counts().tolist() == [len(trace) // 2] * 2


def test_a_report_beside_its_benchmark_is_left_out(tmp_path: Path) -> None:
    file = write_case("optimum_benchmark", tmp_path, make_requests(6))
    folder = tmp_path / "runs"
    folder.mkdir()
    whole = folder / "benchmark.json"
    whole.write_text(file.read_text())
    alone, _ = convert("optimum_benchmark", [whole], tmp_path / "alone.parquet")
    report = json.loads(whole.read_text())["report"]
    (folder / "benchmark_report.json").write_text(json.dumps(report))
    both, notes = convert("optimum_benchmark", [folder], tmp_path / "both.parquet")
    pd.testing.assert_frame_equal(both, alone)
    assert notes == ("1 file left out: what they say, another file says too",)


def test_a_header_and_its_data_are_read_once(tmp_path: Path) -> None:
    named = write_case("blis_trace", tmp_path, make_requests(6))
    files = sorted(path for path in named.parent.iterdir() if path.suffix in (".yaml", ".csv"))
    assert len(files) == 2
    alone, _ = convert("blis_trace", [named], tmp_path / "alone.parquet")
    both, _ = convert("blis_trace", files, tmp_path / "both.parquet")
    pd.testing.assert_frame_equal(both, alone)


@pytest.mark.parametrize(("cut", "rows"), [(9, 4), (34, 4), (None, 5)])
def test_a_table_that_is_cut_short_loses_its_last_row_alone(
    tmp_path: Path, cut: int | None, rows: int
) -> None:
    """Whether its last line still has all of its cells or not."""
    (tmp_path / "trace.yaml").write_text("trace_version: 2\ntime_unit: us\nmode: real\n")
    head = "request_id,send_time_us,first_chunk_time_us,last_chunk_time_us,status,output_tokens\n"
    starts = 100_000 * np.arange(1, 6)
    lines = [f"r{at},{at},{at + 20_000},{at + 90_000},ok,1000\n" for at in starts]
    text = head + "".join(lines)
    last = len(text) - len(lines[-1])
    (tmp_path / "trace.csv").write_text(text if cut is None else text[: last + cut])
    trace, _ = convert("blis_trace", [tmp_path / "trace.yaml"], tmp_path / "trace.parquet")
    assert len(trace) == rows
