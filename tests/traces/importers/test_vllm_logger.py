"""What the logger wrote comes back: every step and request, with what it met."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bayeslat.errors import TraceError
from bayeslat.serving.engine_logger import EngineLogger
from bayeslat.serving.settings import Settings
from bayeslat.traces.importers.importer import Tally
from bayeslat.traces.importers.vllm_logger import IMPORTER
from bayeslat.traces.model_parts import PARTS
from tests.serving import vllm_stats as vllm
from tests.traces.importers.engine import Request, Truth, draw, run

STEP_S = 0.0125
SIZES = {
    **{"hidden_size": 256, "num_hidden_layers": 4, "num_attention_heads": 8},
    **{"num_key_value_heads": 2, "head_dim": None, "intermediate_size": 1024},
}
BUDGET = 64


def _write(folder: Path, requests: list[Request], truth: Truth) -> Path:
    """Let the logger write what an engine did; step j ends at STEP_S (j + 1)."""
    folder.mkdir(parents=True, exist_ok=True)
    config = vllm.config()
    config.scheduler_config.max_num_batched_tokens = BUDGET
    config.model_config.hf_text_config = SimpleNamespace(to_dict=lambda: SIZES)
    logger = EngineLogger(Settings(folder), config, 0)
    finished: dict[int, list[Request]] = {}
    for request in requests:
        finished.setdefault(request.finished, []).append(request)
    for row in truth.rows:
        step, at_s = row["step"], 1000.0 + STEP_S * (row["step"] + 1)
        decode = row["decode_requests"]
        logger.record(
            *vllm.iteration(
                step,
                at_s,
                prefill=(row["prefill_requests"], row["prefill_tokens"]),
                decode=(decode, decode),
                elapsed_ms=10.0 + decode,
                running=step % 7,
                waiting=step % 3,
                kv_usage=step % 10 / 10,
                finished=[_told(each) for each in finished.get(step, [])],
            )
        )
    logger.close()
    (path,) = folder.glob("*.jsonl")
    return path


def _told(request: Request) -> vllm.FinishedRequestStats:
    """Return a request as vLLM tells it: it was queued two steps before it was scheduled."""
    first = request.finished - request.outputs + 1
    return vllm.FinishedRequestStats(
        "length",
        f"r{id(request)}",
        e2e_latency=STEP_S * (request.finished - request.scheduled + 3.5),
        num_prompt_tokens=request.prompt,
        num_generation_tokens=request.outputs,
        num_cached_tokens=request.cached,
        queued_time=2 * STEP_S,
        prefill_time=STEP_S * (first - request.scheduled + 1),
        decode_time=STEP_S * (request.finished - first),
        inference_time=STEP_S * (request.finished - request.scheduled + 1),
    )


def _read(path: Path) -> tuple[pd.DataFrame, pd.DataFrame, Tally]:
    tally = Tally()
    steps, requests = IMPORTER.read(path, tally)
    return pd.DataFrame(dict(steps.columns)), pd.DataFrame(dict(requests.columns)), tally


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Request], Truth]:
    requests = draw(7, 120)
    truth, _, _ = run(requests, BUDGET, 8)
    return _write(tmp_path_factory.mktemp("logs"), requests, truth), requests, truth


def test_every_step_comes_back_with_its_batch(written: Any) -> None:
    path, _, truth = written
    steps, _, tally = _read(path)
    assert len(steps) == len(truth.rows)
    for name in ("prefill_requests", "prefill_tokens", "decode_requests"):
        assert (steps[name] == truth.column(name)).all()
    assert (steps["t_step_ms"] == 10.0 + truth.column("decode_requests")).all()
    assert (steps["decode_context_tokens"] == truth.column("decode_context")).all()
    assert (steps["prefill_attended_tokens"] == truth.column("attended")).all()
    reads = truth.column("decode_context") + truth.column("past")
    assert (steps["kv_read_tokens"] == reads).all()
    assert set(steps["contexts"]) == {"exact"}
    assert not tally.refused
    assert not tally.notes


def test_a_step_meets_what_the_one_before_left(written: Any) -> None:
    steps, _, _ = _read(written[0])
    left = np.arange(len(steps) - 1)
    assert steps["running"].tolist() == [0, *(left % 7)]
    assert steps["waiting"].tolist() == [0, *(left % 3)]
    assert steps["kv_usage"].tolist() == [0.0, *(left % 10 / 10)]


def test_every_request_comes_back_with_its_times(written: Any) -> None:
    path, requests, _ = written
    _, frame, _ = _read(path)
    by_id = {f"r{id(request)}": request for request in requests}
    assert sorted(frame["request_id"]) == sorted(by_id)
    for row in frame.to_dict("records"):
        request = by_id[row["request_id"]]
        assert row["prompt_tokens"] == request.prompt
        assert row["cached_tokens"] == request.cached
        assert row["output_tokens"] == request.outputs
        assert row["t_queueing_ms"] == pytest.approx(2e3 * STEP_S)
        total = (
            row["t_queueing_ms"] + row["t_prefill_ms"] + row["t_decode_ms"] + row["t_admission_ms"]
        )
        assert row["t_e2e_ms"] == pytest.approx(total, abs=0.01)


def test_a_request_meets_the_last_step_before_its_queueing(written: Any) -> None:
    path, requests, truth = written
    _, frame, _ = _read(path)
    by_id = {f"r{id(request)}": request for request in requests}
    for row in frame.to_dict("records"):
        # Scheduled in step s, which begins when s - 1 ends, and queued two steps before.
        met = by_id[row["request_id"]].scheduled - 3
        if met < 0:
            assert row["running"] == 0
            continue
        assert row["running"] == met % 7
        assert row["kv_usage"] == met % 10 / 10
        assert row["decode_requests"] == truth.rows[met]["decode_requests"]
        assert row["decode_context_tokens"] == truth.rows[met]["decode_context"]


@pytest.mark.parametrize(
    ("policy", "late_s", "places"),
    [
        ("fcfs", [0.0] * 5, [0, 1, 2, 3, 4]),
        ("fcfs", [0.004, 0.0, 0.003, 0.002, 0.001], [0, 1, 2, 3, 4]),
        ("priority", [0.0, 0.001, 0.002, 0.003, 0.0035], [0, 1, 2, 3, 4]),
        ("priority", [0.004, 0.0, 0.003, 0.002, 0.001], [4, 0, 3, 2, 1]),  # waits tell no order
    ],
)
def test_the_queue_counts_those_of_a_burst_that_came_before(
    tmp_path: Path, policy: str, late_s: list[float], places: list[int]
) -> None:
    # Five requests come one after another between two steps; the engine takes two at once.
    requests = [Request(10, 0, 4, 0) for _ in range(5)]
    truth, _, _ = run(requests, BUDGET, 2)
    path = _write(tmp_path, requests, truth)
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    order = {f"r{id(request)}": place for place, request in enumerate(requests)}
    for row in rows:
        if row["kind"] == "server":
            row["config"]["scheduling_policy"] = policy
        if row["kind"] == "request":
            scheduled_s = row["queued_at_s"] + row["queueing_ms"] / 1e3
            row["arrived_at_s"] = 999.98 + 1e-5 * order[row["id"]]
            row["queued_at_s"] = 999.99 + 1e-5 * order[row["id"]]
            row["queueing_ms"] = 1e3 * (scheduled_s - row["queued_at_s"])
            row["queued_at_s"] += late_s[order[row["id"]]]  # the message of its end
            row["met_waiting"] = 0
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    _, frame, _ = _read(path)
    frame = frame.sort_values("request_id", key=lambda names: names.map(order))
    assert frame["waiting"].tolist() == places
    assert frame["waiting_prompt_tokens"].tolist() == [10 * place for place in places]


def test_the_server_stands_beside_every_row(written: Any) -> None:
    steps, requests, tally = _read(written[0])
    for frame in (steps, requests):
        assert set(frame["max_num_seqs"]) == {8}
        assert set(frame["max_num_batched_tokens"]) == {BUDGET}
        assert set(frame["tensor_parallel"]) == {1}
        assert set(frame["prefix_caching"]) == {0}
        assert set(frame["chunked_prefill"]) == {1}
        assert set(frame["kv_blocks"]) == {24}
        assert set(frame["dtype_bytes"]) == {4}
        assert set(frame["hidden"]) == {256}
        assert set(frame["layers"]) == {4}
        assert set(frame["heads"]) == {8}
        assert set(frame["kv_heads"]) == {2}
        assert set(frame["head_dim"]) == {32}
        assert set(frame["intermediate"]) == {1024}
        assert set(frame["experts"]) == {0}
        assert set(frame["model"]) == {"models/tiny"}
    assert "python" in tally.software
    assert tally.collected_at is not None


@pytest.mark.parametrize(("told", "expected"), [(0.0, 0.0), (4, 4 * 2**30 / 1e9)])
def test_weights_that_stay_with_the_host_stand_beside_every_row(
    written: Any, tmp_path: Path, told: float, expected: float
) -> None:
    def offloading(row: dict[str, Any]) -> dict[str, Any]:
        if row["kind"] == "server":
            row["config"]["cpu_offload_GiB"] = told
        return row

    for frame in _read(_edited(written[0], tmp_path / "vllm-x.jsonl", offloading))[:2]:
        assert frame["cpu_offload_GB"].unique() == [pytest.approx(expected)]


def test_a_server_that_times_no_steps_is_told(written: Any, tmp_path: Path) -> None:
    def without_details(row: dict[str, Any]) -> dict[str, Any]:
        if row["kind"] == "server":
            row["config"]["iteration_details"] = False
        for name in ("iteration", "elapsed_ms", "met_iteration"):
            row.pop(name, None)
        return row

    steps, requests, tally = _read(_edited(written[0], tmp_path / "vllm-x.jsonl", without_details))
    assert (len(steps), len(requests)) == (0, 120)
    (note,) = tally.notes
    assert "without --enable-logging-iteration-details" in note


def test_speculation_is_told_as_why_contexts_are_estimated(written: Any, tmp_path: Path) -> None:
    def speculating(row: dict[str, Any]) -> dict[str, Any]:
        if row["kind"] == "server":
            row["config"]["speculative_tokens"] = 3
        return row

    steps, _, tally = _read(_edited(written[0], tmp_path / "vllm-x.jsonl", speculating))
    assert set(steps["contexts"]) == {"estimated"}
    (note,) = tally.notes
    assert "speculates" in note
    assert "never finished" not in note


def _edited(path: Path, target: Path, edit: Any) -> Path:
    """Write a file's rows anew; what `edit` returns None for is left out."""
    rows = [edit(json.loads(line)) for line in path.read_text().splitlines()]
    target.write_text("".join(json.dumps(row) + "\n" for row in rows if row is not None))
    return target


def test_experts_of_no_width_of_their_own_are_as_wide_as_the_model(
    written: Any, tmp_path: Path
) -> None:
    def as_mixtral(row: dict[str, Any]) -> dict[str, Any]:
        if row["kind"] == "server":
            sizes = {"intermediate_size": 14336, "num_local_experts": 8, "num_experts_per_tok": 2}
            row["architecture"] |= sizes
        return row

    steps, _, _ = _read(_edited(written[0], tmp_path / "vllm-x.jsonl", as_mixtral))
    assert set(steps["experts"]) == {8}
    assert set(steps["moe_intermediate"]) == {14336}


def _of_model(
    path: Path, target: Path, changes: dict[str, Any], **config: Any
) -> tuple[pd.DataFrame, list[str]]:
    """Return the steps of a server of another model, and what is noted."""

    def changed(row: dict[str, Any]) -> dict[str, Any]:
        if row["kind"] == "server":
            row["architecture"] |= changes
            row["config"] |= config
        return row

    steps, _, tally = _read(_edited(path, target / "vllm-x.jsonl", changed))
    return steps, list(tally.notes)


@pytest.mark.parametrize(
    ("changes", "columns"),
    [
        (
            {"num_attention_heads": 71, "num_kv_heads": 71, "multi_query": True}
            | {"num_key_value_heads": None, "head_dim": 64},
            {"heads": 71, "kv_heads": 1, "head_dim": 64},
        ),
        (
            {"moe_num_experts": 64, "moe_k": 6, "moe_intermediate_size": 1536},
            {"experts": 64, "experts_per_token": 6, "moe_intermediate": 1536},
        ),
        (
            {"intermediate_size": None, "num_experts": 256, "moe_intermediate_size": 512}
            | {"num_experts_per_tok": 8},
            {"intermediate": 0, "experts": 256, "moe_intermediate": 512},
        ),
        (
            {"text_config": {"hidden_size": 5120, "num_hidden_layers": 40}},
            {"hidden": 5120, "layers": 40, "head_dim": 640},
        ),
        ({"intermediate_size": [7] * 4}, {"intermediate": 7}),
    ],
)
def test_models_that_spell_their_sizes_otherwise(
    written: Any, tmp_path: Path, changes: dict[str, Any], columns: dict[str, int]
) -> None:
    steps, notes = _of_model(written[0], tmp_path, changes)
    assert {name: set(steps[name]) for name in columns} == {
        name: {size} for name, size in columns.items()
    }
    assert not notes


def test_a_size_that_is_not_known_is_left_out_and_told(written: Any, tmp_path: Path) -> None:
    # A column of zeros would stand in the way of --set, and make the model cost nothing.
    changes = {"num_hidden_layers": None, "intermediate_size": [1, 2, 3, 4]}
    steps, (note,) = _of_model(written[0], tmp_path, changes)
    assert not {"layers", "intermediate"} & set(steps.columns)
    assert "models/tiny does not say its layers, intermediate, once for all layers" in note
    assert "--set" in note


def test_what_the_columns_of_a_model_leave_out_is_told(written: Any, tmp_path: Path) -> None:
    changes = {"kv_lora_rank": 512, "n_routed_experts": 64, "num_experts_per_tok": 6}
    steps, (note,) = _of_model(written[0], tmp_path, changes, quantization="gguf")
    assert set(steps["experts"]) == {64}
    assert note.startswith("models/tiny is more than its columns say: ")
    assert "(MLA)" in note
    assert "quantised (gguf)" in note
    assert "shared" not in note


def test_parts_of_a_model_have_columns(written: Any, tmp_path: Path) -> None:
    changes = {
        **{"kv_lora_rank": 64, "qk_nope_head_dim": 32, "qk_rope_head_dim": 16, "v_head_dim": 32},
        **{"n_routed_experts": 64, "num_experts_per_tok": 6, "moe_intermediate_size": 128},
        **{"n_shared_experts": 2, "first_k_dense_replace": 1},
    }
    steps, notes = _of_model(written[0], tmp_path, changes, quantization="fp8")
    assert ["decode over its latent (MLA)" in note for note in notes] == [True]
    told = {name: set(steps[name]) for name in (*PARTS, "head_dim")}
    assert min(told.pop("attention_weights") | told.pop("mlp_weights")) > 0
    assert told == {
        "weight_bytes": {1.0},
        "expert_weight_bytes": {1.0},
        "matmul_bytes": {1.0},
        "kv_value_bytes": {4.0},
        "kv_width": {80.0},
        "moe_layers": {3.0},
        "head_dim": {40},
    }


def test_where_requests_are_missing_contexts_are_estimated(written: Any, tmp_path: Path) -> None:
    requests = iter(range(1000))

    def without_some(row: dict[str, Any]) -> dict[str, Any] | None:
        return None if row["kind"] == "request" and next(requests) % 20 == 0 else row

    path = _edited(written[0], tmp_path / "vllm-x.jsonl", without_some)
    steps, _, tally = _read(path)
    truth = written[2].column("decode_context")
    exact = steps["contexts"] == "exact"
    assert 0.3 < exact.mean() < 1.0
    assert (steps["decode_context_tokens"] == truth)[exact].all()
    estimated = steps[~exact & (steps["decode_requests"] > 0)]
    assert (estimated["decode_context_tokens"] >= estimated["decode_requests"]).all()
    assert len(tally.notes) == 1
    assert "estimated" in next(iter(tally.notes))


def test_an_estimate_counts_the_blocks_in_use(tmp_path: Path, written: Any) -> None:
    # 12 of 24 blocks of 128 tokens, four requests: 1536 tokens less half a block for each.
    def alone(row: dict[str, Any]) -> dict[str, Any] | None:
        if row["kind"] == "step":
            return row | {"kv_usage": 0.5, "running": 4, "decode_requests": 4, "prefill_tokens": 0}
        return row if row["kind"] == "server" else None

    steps, _, _ = _read(_edited(written[0], tmp_path / "vllm-x.jsonl", alone))
    assert set(steps["contexts"]) == {"estimated"}
    assert set(steps["decode_context_tokens"][1:]) == {1536 - 4 * 64}


def test_a_file_that_was_cut_short_gives_what_it_holds(written: Any, tmp_path: Path) -> None:
    text = written[0].read_bytes()
    path = tmp_path / "vllm-x.jsonl"
    path.write_bytes(text[: int(0.7 * len(text))])
    steps, _, tally = _read(path)
    assert 100 < len(steps) < len(written[2].rows)
    assert sum(tally.refused.values()) == 1
    assert "cut short" in next(iter(tally.refused))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"dummy": True}, "keeps the other engines company"),
        ({"elapsed_ms": None}, "--enable-logging-iteration-details"),
    ],
)
def test_steps_that_cannot_be_used_are_counted(
    written: Any, tmp_path: Path, change: dict[str, Any], reason: str
) -> None:
    def odd(row: dict[str, Any]) -> dict[str, Any]:
        changed = row | change if row.get("iteration") == 5 and row["kind"] == "step" else row
        return {name: value for name, value in changed.items() if value is not None}

    steps, _, tally = _read(_edited(written[0], tmp_path / "vllm-x.jsonl", odd))
    assert 5 not in set(steps["step_id"])
    assert [reason in text for text in tally.refused] == [True]


def test_rows_that_the_logger_lost_are_told(written: Any, tmp_path: Path) -> None:
    path = tmp_path / "vllm-x.jsonl"
    lost = {"kind": "lost", "rows": 12, "reason": "the queue was full"}
    path.write_text(written[0].read_text() + json.dumps(lost) + "\n")
    _, _, tally = _read(path)
    assert tally.refused == {"the logger lost it: the queue was full": 12}


@pytest.mark.parametrize("told", [{"async_scheduling": True}, {"executor": "uni"}])
def test_where_the_engine_does_not_wait_a_step_takes_the_interval(
    written: Any, tmp_path: Path, told: dict[str, Any]
) -> None:
    def not_waiting(row: dict[str, Any]) -> dict[str, Any]:
        row = row | {"config": row["config"] | told} if "config" in row else row
        return row | {"elapsed_ms": 0.1} if row["kind"] == "step" else row

    waiting, _, _ = _read(written[0])
    steps, _, tally = _read(_edited(written[0], tmp_path / "vllm-x.jsonl", not_waiting))
    interval = waiting["step_interval_ms"]
    decoded = interval.notna()
    assert 0 < decoded.sum() < len(steps)
    assert (steps["t_step_ms"] == interval)[decoded].all()
    # Whole prompts that ran alone are timed by their requests, others not at all.
    alone = steps[~decoded & steps["t_step_ms"].notna()]
    assert len(alone)
    assert not alone["decode_requests"].any()
    assert set(alone["t_step_ms"]) == set(interval[decoded])  # all steps take as long here
    untimed = steps["t_step_ms"].isna().sum()
    assert f"known of {untimed} of {len(steps)} steps" in next(iter(tally.notes))


@pytest.mark.parametrize("text", ["", "{}\n", '{"kind": "step"}\n', "no JSON\n"])
def test_other_files_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "vllm-x.jsonl"
    path.write_text(text)
    with pytest.raises(TraceError, match="does not say which server"):
        _read(path)


def test_another_version_is_refused(written: Any, tmp_path: Path) -> None:
    def later(row: dict[str, Any]) -> dict[str, Any]:
        return row | {"schema": 2} if row["kind"] == "server" else row

    with pytest.raises(TraceError, match="version 2"):
        _read(_edited(written[0], tmp_path / "vllm-x.jsonl", later))


def test_files_of_one_series_may_be_put_together(written: Any, tmp_path: Path) -> None:
    path, _, truth = written
    server, *rows = path.read_text().splitlines(keepends=True)
    second = json.dumps({**json.loads(server), "file": 1, "written_at_s": 2000.0}) + "\n"
    joined = tmp_path / path.name
    joined.write_text("".join([server, *rows[:40], second, *rows[40:]]))
    assert len(_read(joined)[0]) == len(truth.rows)


@pytest.mark.parametrize("other", [{"run": "another"}, {"engine": 1}])
def test_files_of_several_servers_that_were_put_together_are_refused(
    written: Any, tmp_path: Path, other: dict[str, Any]
) -> None:
    """Their steps have the same numbers, and the first one's model would be that of all rows."""
    path, _, _ = written
    server, *rows = path.read_text().splitlines(keepends=True)
    second = json.dumps({**json.loads(server), **other}) + "\n"
    joined = tmp_path / path.name
    joined.write_text("".join([server, *rows, second, *rows]))
    with pytest.raises(TraceError, match=r"holds the logs of several servers or engines"):
        _read(joined)


def test_a_log_without_requests_or_steps_is_read(written: Any, tmp_path: Path) -> None:
    for kinds in ({"server"}, {"server", "step"}, {"server", "request"}):
        path = _edited(
            written[0],
            tmp_path / "vllm-x.jsonl",
            lambda row, kinds=kinds: row if row["kind"] in kinds else None,
        )
        steps, requests, _ = _read(path)
        assert (len(steps) > 0, len(requests) > 0) == ("step" in kinds, "request" in kinds)


@pytest.mark.parametrize(
    ("named", "model"),
    [
        ("Qwen/Qwen3-8B", "Qwen/Qwen3-8B"),
        ("gpt2", "gpt2"),
        ("/srv/models/dense", "dense"),
        ("./dense", "dense"),
        ("a/b/dense/", "dense"),
    ],
)
def test_a_model_in_a_folder_is_called_by_its_last_part(
    written: Any, tmp_path: Path, named: str, model: str
) -> None:
    def renamed(row: dict[str, Any]) -> dict[str, Any]:
        if row["kind"] == "server":
            row["config"]["model"] = named
        return row

    steps, _, _ = _read(_edited(written[0], tmp_path / "vllm-x.jsonl", renamed))
    assert set(steps["model"]) == {model}
