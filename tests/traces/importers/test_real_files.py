"""Files that the tools wrote themselves, against what they say of themselves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bayeslat.traces import read_traces
from bayeslat.traces.importers.convert import Imported, Settings, import_traces
from bayeslat.traces.importers.registry import find_importer

DATA = Path(__file__).parent / "data"


def imported(name: str, file: str, folder: Path) -> tuple[Imported, pd.DataFrame]:
    found = import_traces(
        find_importer(name), [DATA / file], folder / "o.parquet", Settings("l40s")
    )
    return found, read_traces(folder / "o.parquet")


def load(file: str) -> Any:
    return json.loads((DATA / file).read_text(encoding="utf-8"))


def test_vllm_bench(tmp_path: Path) -> None:
    found, frame = imported("vllm_bench", "vllm_bench.json", tmp_path)
    header = load("vllm_bench.json")
    assert found.refused == {}
    assert len(frame) == header["completed"] == 24
    # The tokens of one answer came all at once, 332 ms after they were asked for.
    gaps_ms = np.array([1e3 * sum(each) for each in header["itls"]])
    told = {"ttft": 1e3 * np.array(header["ttfts"])}
    told["tpot"] = gaps_ms / (np.array(header["output_lens"]) - 1)
    in_pieces = told["tpot"] > 0.05
    assert np.sum(~in_pieces) == 1
    assert any(note.startswith("1 answer came in one piece") for note in found.notes)
    for metric, values in told.items():
        assert values.mean() == pytest.approx(header[f"mean_{metric}_ms"], rel=1e-9)
        assert np.median(values) == pytest.approx(header[f"median_{metric}_ms"], rel=1e-9)
        column = frame[f"t_{metric}_ms"].to_numpy()
        np.testing.assert_allclose(column, np.where(in_pieces, values, np.nan), rtol=1e-9)
    assert frame["prompt_tokens"].sum() == header["total_input_tokens"]
    assert frame["output_tokens"].sum() == header["total_output_tokens"]
    # A chunk may hold several tokens, but chunks add up to the time after the first.
    np.testing.assert_allclose(frame["t_e2e_ms"] - told["ttft"], gaps_ms, rtol=1e-6)
    assert set(frame["model"]) == {"dense"}
    assert set(frame["concurrency"]) == {6}
    assert set(frame["request_rate_per_s"]) == {4.0}
    assert frame["in_flight"].max() < 6
    assert found.importer.name == "vllm_bench"


def test_vllm_bench_before_it_had_latencies(tmp_path: Path) -> None:
    _, expected = imported("vllm_bench", "vllm_bench.json", tmp_path)
    old = load("vllm_bench.json")
    del old["latencies"], old["start_times"], old["queue_times"]
    path = tmp_path / "vllm_bench.json"
    path.write_text(json.dumps(old), encoding="utf-8")
    import_traces(find_importer("vllm_bench"), [path], tmp_path / "o.parquet", Settings("l40s"))
    frame = read_traces(tmp_path / "o.parquet")
    for column in ("t_ttft_ms", "t_tpot_ms", "t_e2e_ms"):
        np.testing.assert_allclose(frame[column], expected[column], rtol=1e-6)
    assert "in_flight" not in frame


def test_vllm_bench_of_requests_that_generate_nothing(tmp_path: Path) -> None:
    """As of embeddings: neither tokens nor their times, and how long the request took."""
    _, expected = imported("vllm_bench", "vllm_bench.json", tmp_path)
    pooling = load("vllm_bench.json")
    for key in ("ttfts", "itls", "output_lens", "mean_ttft_ms"):
        del pooling[key]
    path = tmp_path / "vllm_bench.json"
    path.write_text(json.dumps(pooling), encoding="utf-8")
    import_traces(find_importer("vllm_bench"), [path], tmp_path / "o.parquet", Settings("l40s"))
    frame = read_traces(tmp_path / "o.parquet")
    np.testing.assert_allclose(frame["t_e2e_ms"], expected["t_e2e_ms"], rtol=1e-6)
    assert not {"t_ttft_ms", "t_tpot_ms"} & set(frame.dropna(axis=1, how="all"))


def test_vllm_bench_appended_results(tmp_path: Path) -> None:
    text = (DATA / "vllm_bench.json").read_text(encoding="utf-8")
    path = tmp_path / "runs.json"
    path.write_text(f"{text}\n{text}", encoding="utf-8")
    import_traces(find_importer("vllm_bench"), [path], tmp_path / "o.parquet", Settings("l40s"))
    frame = read_traces(tmp_path / "o.parquet")
    assert frame["run"].value_counts().to_dict() == {"runs": 24, "runs/2": 24}


def test_guidellm(tmp_path: Path) -> None:
    found, frame = imported("guidellm", "guidellm_benchmarks.json", tmp_path)
    requests = load("guidellm_benchmarks.json")["benchmarks"][0]["requests"]["successful"]
    assert found.refused == {}
    stated = pd.DataFrame(requests)
    assert frame["request_id"].tolist() == stated["request_id"].tolist()
    np.testing.assert_allclose(frame["t_ttft_ms"], stated["time_to_first_token_ms"], rtol=1e-6)
    np.testing.assert_allclose(frame["t_tpot_ms"], stated["inter_token_latency_ms"], rtol=1e-4)
    np.testing.assert_allclose(frame["t_e2e_ms"], 1e3 * stated["request_latency"], rtol=1e-6)
    # Its own time per output token has the first token in it.
    assert (frame["t_tpot_ms"] < 0.99 * stated["time_per_output_token_ms"]).all()
    assert set(frame["model"]) == {"dense"}
    assert set(frame["concurrency"]) == {4}
    assert 1 <= frame["in_flight"].max() <= 3


def test_aiperf(tmp_path: Path) -> None:
    found, frame = imported("aiperf", "aiperf/profile_export.jsonl", tmp_path)
    lines = (DATA / "aiperf/profile_export.jsonl").read_text(encoding="utf-8").splitlines()
    records = [json.loads(line) for line in lines]
    measured = [each for each in records if each["metadata"]["benchmark_phase"] == "profiling"]
    assert (
        found.refused
        == {"of the phase warmup": len(records) - len(measured)}
        == {"of the phase warmup": 2}
    )
    for column, metric in (("t_ttft_ms", "time_to_first_token"), ("t_e2e_ms", "request_latency")):
        stated = [each["metrics"][metric] for each in measured]
        assert {each["unit"] for each in stated} == {"ms"}
        np.testing.assert_allclose(frame[column], [each["value"] for each in stated])
    stated = [each["metrics"]["inter_token_latency"]["value"] for each in measured]
    np.testing.assert_allclose(frame["t_tpot_ms"], stated, rtol=1e-6)
    assert set(frame["model"]) == {"dense"}
    assert set(frame["concurrency"]) == {4}
    assert frame["in_flight"].max() <= 3
    assert frame["request_id"].tolist() == [each["metadata"]["x_request_id"] for each in measured]


def test_inference_perf(tmp_path: Path) -> None:
    found, frame = imported("inference_perf", "per_request_lifecycle_metrics.json", tmp_path)
    entries = load("per_request_lifecycle_metrics.json")
    assert found.refused == {}
    assert len(frame) == len(entries) == 8
    for row, entry in zip(frame.to_dict("records"), entries, strict=True):
        times = entry["info"]["response_metrics"]["output_token_times"]
        usage = entry["info"]["response_metrics"]["server_usage"]
        assert row["t_ttft_ms"] == pytest.approx(1e3 * (times[0] - entry["start_time"]))
        assert row["t_tpot_ms"] == pytest.approx(1e3 * np.diff(times).mean(), rel=1e-6)
        assert row["output_tokens"] == usage["completion_tokens"] == len(times)
        assert row["prompt_tokens"] == usage["prompt_tokens"]
    assert set(frame["model"]) == {"dense"}


def test_vllm_otel(tmp_path: Path) -> None:
    found, frame = imported("vllm_otel", "vllm_otel.jsonl", tmp_path)
    lines = (DATA / "vllm_otel.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(frame) == sum(line.count('"name":"llm_request"') for line in lines) > 20
    assert all(reason.startswith("span of another kind") for reason in found.refused)
    # The front end hears of a token after the engine has it.
    engine = frame["t_queueing_ms"] + frame["t_prefill_ms"]
    assert (frame["t_ttft_ms"] > engine).all()
    whole = engine + frame["t_decode_ms"].fillna(0.0)
    assert (frame["t_e2e_ms"] > whole).all()
    decoded = frame["t_tpot_ms"] * (frame["output_tokens"] - 1)
    np.testing.assert_allclose(decoded.dropna(), frame["t_decode_ms"].dropna())
    assert frame["in_flight"].max() >= 3
