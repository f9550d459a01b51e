"""The traces of a serving engine in `traces/vllm/` are what their README says."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from bayeslat.features.spec import load_spec
from bayeslat.traces import provenances, read_traces

FOLDER = Path(__file__).resolve().parents[2] / "traces" / "vllm"
FILES = sorted(path.stem for path in FOLDER.glob("*.parquet"))
STEPS = 3000
KIB = 1024
STATE = ["running", "waiting", "kv_usage"]
SERVER = ["max_num_seqs", "max_num_batched_tokens", "layers", "hidden", "experts", "dtype_bytes"]
BATCH = [
    *("prefill_requests", "prefill_tokens", "decode_requests", "decode_tokens"),
    *("decode_context_tokens", "prefill_attended_tokens", "kv_read_tokens", "encoder_inputs"),
]


@pytest.fixture(scope="module", params=FILES)
def trace(request: pytest.FixtureRequest) -> pd.DataFrame:
    return read_traces(FOLDER / f"{request.param}.parquet")


def _steps(trace: pd.DataFrame) -> pd.DataFrame:
    return trace[trace["t_step_ms"].notna()]


def _requests(trace: pd.DataFrame) -> pd.DataFrame:
    return trace[trace["t_queueing_ms"].notna()]


def test_devices_and_models_are_crossed() -> None:
    crossed = [name for name in FILES if not name.endswith("_shared")]
    devices = {name.rsplit("_", 1)[0] for name in crossed}
    assert len(devices) >= 3
    assert crossed == sorted(f"{name}_{kind}" for name in devices for kind in ("dense", "moe"))
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 1000 * KIB


def test_steps_and_requests_are_complete(trace: pd.DataFrame) -> None:
    steps, requests = _steps(trace), _requests(trace)
    assert len(steps) >= STEPS
    assert len(requests) >= 390
    assert len(steps) + len(requests) == len(trace)
    assert steps[[*STATE, *SERVER, *BATCH]].notna().all(axis=None)
    assert requests[[*STATE, *SERVER, "prompt_tokens", "output_tokens"]].notna().all(axis=None)
    assert (requests["t_e2e_ms"] > 0).all()
    assert not steps["step_id"].duplicated().any()


def test_servers_went_from_idle_to_saturated(trace: pd.DataFrame) -> None:
    requests = _requests(trace)
    assert (requests["running"] == 0).mean() > 0.02
    assert (requests["waiting"] >= 10).mean() > 0.02
    assert requests["kv_usage"].max() > 0.9
    assert requests["t_queueing_ms"].quantile(0.1) < 1.0
    assert requests["t_queueing_ms"].max() > 500.0


def test_tokens_of_steps_are_those_of_requests(trace: pd.DataFrame) -> None:
    steps, requests = _steps(trace), _requests(trace)
    undisturbed = requests[requests["preemptions"] == 0]
    # Every token but a request's first is decoded; preempted requests compute theirs again.
    decoded = (undisturbed["output_tokens"] - 1).sum()
    computed = (undisturbed["prompt_tokens"] - undisturbed["cached_tokens"]).sum()
    spare = 3000 * (len(requests) - len(undisturbed)) + 1
    assert 0 <= steps["decode_tokens"].sum() - decoded < spare
    assert 0 <= steps["prefill_tokens"].sum() - computed < spare


def test_contexts_fit_the_cache(trace: pd.DataFrame) -> None:
    steps = _steps(trace)
    exact = steps[steps["contexts"] == "exact"]
    assert len(exact) > 0.9 * len(steps)
    capacity = exact["kv_blocks"] * exact["kv_block_tokens"]
    assert (exact["decode_context_tokens"] <= capacity).all()
    assert (exact["decode_context_tokens"] >= exact["decode_requests"]).all()


def test_more_work_takes_longer(trace: pd.DataFrame) -> None:
    steps = _steps(trace)
    lone = steps[steps["decode_requests"] > 0]
    without = lone[lone["prefill_tokens"] == 0]["t_step_ms"].median()
    much = lone[lone["prefill_tokens"] > 300]["t_step_ms"].median()
    assert much > 3.0 * without
    few = without_prefill(steps, 1, 2)
    many = without_prefill(steps, 11, 12)
    assert many > few


def without_prefill(steps: pd.DataFrame, least: int, most: int) -> float:
    rows = steps[(steps["prefill_tokens"] == 0) & steps["decode_requests"].between(least, most)]
    return float(rows["t_step_ms"].median())


def test_a_step_lies_within_its_interval(trace: pd.DataFrame) -> None:
    steps = _steps(trace).dropna(subset=["step_interval_ms"])
    ratio = steps["t_step_ms"] / steps["step_interval_ms"]
    assert ratio.max() < 1.05
    assert 0.5 < ratio.median() < 1.0


def test_the_origin_is_told(trace: pd.DataFrame) -> None:
    origin = provenances(trace)[0]
    assert origin is not None
    assert origin.source == "measured"
    assert origin.software["vllm"] == "0.32.0"
    assert isinstance(origin.gpu, dict)
    (gpu,) = set(trace["gpu"])
    assert f"genoa_{origin.gpu['threads']}t" in gpu
    assert set(trace["dtype_bytes"]) == {2 if "bf16" in gpu else 4}
    assert origin.parameters is not None
    assert origin.parameters["max_num_seqs"] == 12
    stored = origin.model_dump_json()
    assert "/tmp" not in stored
    assert "host" not in stored


def test_experts_are_told() -> None:
    spec = load_spec(FOLDER.parents[1] / "models" / "vllm.toml")
    for kind, experts, moe_layers, mlp in (
        ("dense", 0, 0, 3 * 256 * 1024),
        ("moe", 8, 24, 0),
        ("shared", 8, 12, 3 * 256 * 1024),  # an MLP in one layer, a shared expert in the next
    ):
        frame = spec.complete(read_traces(*sorted(FOLDER.glob(f"*_{kind}.parquet"))))
        assert set(frame["experts"]) == {experts}
        assert set(frame["layers"]) == {24}
        assert set(frame["moe_layers"]) == {moe_layers}
        assert set(frame["mlp_weights"]) == {mlp}
