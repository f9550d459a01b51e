from __future__ import annotations

import json
import math
from typing import Any

import pytest

from bayeslat.serving.rows import queued_at_s, request_row, step_row
from tests.serving import vllm_stats as vllm


def _finished(**values: Any) -> vllm.FinishedRequestStats:
    told = {
        "request_id": "cmpl-1",
        "e2e_latency": 1.5,
        "num_prompt_tokens": 100,
        "num_generation_tokens": 20,
        "max_tokens_param": 20,
        "queued_time": 0.25,
        "prefill_time": 0.5,
        "inference_time": 1.0,
        "decode_time": 0.5,
        "num_cached_tokens": 16,
    }
    return vllm.FinishedRequestStats("length", **{**told, **values})


def test_an_iteration_is_told_with_its_batch_and_the_state_that_it_left() -> None:
    scheduler, stats = vllm.iteration(
        7, 50.0, prefill=(2, 300), decode=(3, 3), elapsed_ms=9.5, running=5, waiting=2, kv_usage=0.5
    )
    scheduler.iteration_details.num_encoder_inputs = 1
    scheduler.iteration_details.num_encoder_output_tokens = 64
    scheduler.prefix_cache_stats.hits = 32
    assert step_row(50.0, scheduler, stats) == {
        "kind": "step",
        "at_s": 50.0,
        "iteration": 7,
        "elapsed_ms": 9.5,
        "prefill_requests": 2,
        "prefill_tokens": 300,
        "decode_requests": 3,
        "decode_tokens": 3,
        "encoder_inputs": 1,
        "encoder_tokens": 64,
        "running": 5,
        "waiting": 2,
        "deferred": 0,
        "kv_usage": 0.5,
        "cached_tokens": 32,
        "output_tokens": 3,
        "preempted": 0,
        "gap_ms": 12.5,
    }


def test_features_that_a_server_runs_with_are_told() -> None:
    scheduler, stats = vllm.iteration(0, 50.0)
    scheduler.spec_decoding_stats = vllm.SpecDecodingStats(8, 5)
    scheduler.perf_stats = vllm.PerfStats(10**12, 10**9, 10**8)
    scheduler.iteration_details.is_dummy = True
    row = step_row(50.0, scheduler, stats)
    assert (row["draft_tokens"], row["accepted_tokens"]) == (8, 5)
    assert (row["model_flops"], row["model_read_bytes"]) == (10**12, 10**9)
    assert row["dummy"] is True


def test_a_gap_is_the_shortest_one_and_a_first_token_that_was_missed_is_none() -> None:
    scheduler, stats = vllm.iteration(0, 50.0)
    stats.inter_token_latencies_iter = [0.03, 0.01, 0.02]
    assert step_row(50.0, scheduler, stats)["gap_ms"] == 10.0
    for gaps in ([], [-1.0], [0.0]):
        stats.inter_token_latencies_iter = gaps
        assert "gap_ms" not in step_row(50.0, scheduler, stats)


def test_without_details_of_iterations_the_state_is_still_told() -> None:
    row = step_row(50.0, vllm.SchedulerStats(3, 2, 1, 0.25), None)
    assert row == {
        "kind": "step",
        "at_s": 50.0,
        "running": 3,
        "waiting": 2,
        "deferred": 1,
        "kv_usage": 0.25,
        "cached_tokens": 0,
    }


def test_a_request_is_told_with_the_state_that_it_met() -> None:
    finished_in = step_row(80.0, *vllm.iteration(30, 80.0))
    met = step_row(
        78.0,
        *vllm.iteration(
            9, 78.0, prefill=(1, 50), decode=(4, 4), running=5, waiting=2, kv_usage=0.5
        ),
    )
    row = request_row(80.0, finished_in, _finished(), met)
    assert row["iteration"] == 30
    assert (row["id"], row["finish_reason"]) == ("cmpl-1", "length")
    assert (row["at_s"], row["arrived_at_s"], row["queued_at_s"]) == (80.0, 78.5, 78.75)
    assert (row["prompt_tokens"], row["output_tokens"], row["max_tokens"]) == (100, 20, 20)
    assert (row["cached_tokens"], row["preemptions"]) == (16, 0)
    assert [row[f"{part}_ms"] for part in ("queueing", "prefill", "decode", "e2e")] == [
        *(250.0, 500.0, 500.0),
        1500.0,
    ]
    assert (row["met_iteration"], row["met_running"], row["met_waiting"]) == (9, 5, 2)
    assert (row["met_kv_usage"], row["met_prefill_tokens"], row["met_decode_tokens"]) == (
        0.5,
        50,
        4,
    )
    assert row["met_encoder_inputs"] == 0


def test_what_is_not_known_of_a_request_is_left_out() -> None:
    row = request_row(80.0, {}, _finished(), {})
    assert "iteration" not in row
    assert not [name for name in row if name.startswith("met_")]


def test_a_request_was_queued_before_it_was_queueing_and_running() -> None:
    assert queued_at_s(80.0, _finished()) == 80.0 - 1.0 - 0.25


class _Raises:
    """An object of a version of vLLM that nobody has seen."""

    @property
    def num_running_reqs(self) -> int:
        raise RuntimeError("not today")

    num_waiting_reqs = 3


class _Number:
    """A number of another library."""

    def __float__(self) -> float:
        return 2.5


@pytest.mark.parametrize("stats", [None, object(), 3, "text", _Raises()])
def test_rows_of_anything_are_made(stats: Any) -> None:
    row = step_row(1.0, stats, stats)
    assert row["kind"] == "step"
    assert json.loads(json.dumps(row)) == row
    assert request_row(1.0, {}, stats, {})["kind"] == "request"


def test_one_field_that_fails_leaves_the_others() -> None:
    assert step_row(1.0, _Raises(), None)["waiting"] == 3


@pytest.mark.parametrize(
    ("value", "told"),
    [(_Number(), 2.5), (math.nan, None), (math.inf, None), ("x", None), (True, None)],
)
def test_only_finite_numbers_are_told(value: Any, told: float | None) -> None:
    scheduler, stats = vllm.iteration(0, 50.0)
    scheduler.kv_cache_usage = value
    assert step_row(50.0, scheduler, stats).get("kv_usage") == told
