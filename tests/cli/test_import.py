from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import Result

from bayeslat.traces import read_traces
from bayeslat.traces.importers.registry import FORMATS, all_importers
from bayeslat.traces.importers.vocabulary import VOCABULARY
from tests.traces.importers.cases import write_case
from tests.traces.importers.workload import make_requests


@pytest.fixture
def bench(tmp_path: Path) -> Path:
    requests = make_requests(20)
    requests[3] = replace(requests[3], failed=True)
    return write_case("vllm_bench", tmp_path, requests)


def test_a_file_becomes_a_trace(run: Callable[..., Result], bench: Path, tmp_path: Path) -> None:
    out = tmp_path / "out" / "h100.parquet"
    done = run("import", "vllm_bench", bench, "--gpu", "H100 SXM", "-o", out)
    assert done.exit_code == 0, done.output
    frame = read_traces(out)
    assert len(frame) == 19
    assert set(frame["gpu"]) == {"h100_sxm"}
    for text in (
        "19 rows from 1 file of vllm_bench: h100_sxm; Qwen/Qwen3-8B",
        "t_ttft_ms: client: from sending the HTTP request to its first streamed chunk",
        "request failed",
        f"Saved in {out}",
    ):
        assert text in done.stdout


def test_json_says_the_same(run: Callable[..., Result], bench: Path, tmp_path: Path) -> None:
    out = tmp_path / "h100.csv"
    done = run(
        "import", "vllm-bench", bench, "--gpu", "h100_sxm", "--stack", "vllm_0.32.0", "-o", out,
        "--set", "tensor_parallel=2", "--set", "note=night", "--json",
    )  # fmt: skip
    record = json.loads(done.stdout)
    assert record["rows"] == 19
    assert record["left_out"] == {"request failed": 1}
    assert record["groups"]["stack"] == ["vllm_0.32.0"]
    assert record["columns"]["tensor_parallel"] == 19
    (ttft,) = [each for each in record["latencies"] if each["column"] == "t_ttft_ms"]
    frame = read_traces(out)
    assert ttft["q50_ms"] == pytest.approx(frame["t_ttft_ms"].median(), rel=1e-6)
    assert set(frame["tensor_parallel"]) == {2}
    assert set(frame["note"]) == {"night"}


def test_the_list_tells_every_definition(run: Callable[..., Result]) -> None:
    text = run("import", "--list").stdout
    for importer in all_importers():
        assert f"\n{importer.name}\n" in f"\n{text}"
        assert importer.title in text
        for name, definition in importer.definitions.items():
            assert f"  {name}: {definition}" in text
    assert all(f"  {name}: " in text for name in VOCABULARY)


def test_the_help_names_every_format(run: Callable[..., Result]) -> None:
    text = " ".join(run("import", "--help").stdout.split())
    assert all(name in text for name in FORMATS)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["vllm_bensh"], "no importer reads the format 'vllm_bensh'; did you mean vllm_bench?"),
        (["vllm_bench"], "do not say which GPU they were measured on; add --gpu"),
        (["vllm_bench", "--gpu", "h1000"], "h1000"),
        (["vllm_bench", "--gpu", "l40s", "--set", "tp"], "'tp' is not NAME=VALUE"),
        (["vllm_bench", "--gpu", "l40s", "--set", "t_x_ms=3"], "'t_x_ms' is a latency"),
        (["vllm_bench", "--gpu", "l40s", "--set", "model=a"], "'model' is said by --served-model"),
        (["vllm_bench", "--gpu", "l40s", "--set", "a=1", "--set", "a=2"], "'a' is set twice"),
        (["vllm_bench", "--gpu", "l40s", "--set", "running=two"], "running=two: must be a number"),
        (["vllm_bench", "--gpu", "l40s", "--stack", " "], "the name is empty"),
        (["guidellm", "--gpu", "l40s"], "has no member 'benchmarks'"),
        (["aiperf", "--gpu", "l40s"], "no line is of this format"),
    ],
)
def test_bad_input_is_one_message(
    words: list[str], message: str, run: Callable[..., Result], bench: Path, tmp_path: Path
) -> None:
    out = tmp_path / "o.parquet"
    done = run("import", words[0], bench, *words[1:], "-o", out)
    assert done.exit_code == 1
    assert message in done.stderr
    assert "Traceback" not in done.output
    assert not out.exists()


def test_a_missing_file_and_a_bad_output(
    run: Callable[..., Result], bench: Path, tmp_path: Path
) -> None:
    done = run("import", "aiperf", tmp_path / "no.jsonl", "--gpu", "l40s", "-o", tmp_path / "o.csv")
    assert (done.exit_code, "no such file or folder" in done.stderr) == (1, True)
    done = run("import", "vllm_bench", bench, "--gpu", "l40s", "-o", tmp_path / "o.xlsx")
    assert (done.exit_code, "unknown suffix '.xlsx'" in done.stderr) == (1, True)


def test_a_gpu_that_is_not_in_the_hardware_table_is_said(
    run: Callable[..., Result], tmp_path: Path
) -> None:
    path = write_case("aiconfigurator", tmp_path, make_requests(3))
    path.write_text(path.read_text().replace("NVIDIA H100 80GB HBM3", "NVIDIA X9000"))
    done = run("import", "aiconfigurator", path, "-o", tmp_path / "o.csv")
    assert done.exit_code == 0
    assert "NVIDIA X9000: not in the hardware table" in done.stderr


@pytest.mark.parametrize(
    ("gpu", "told"), [("h100_sxm", False), ("H100 SXM", False), ("h200_sxm", True), (None, False)]
)
def test_a_gpu_that_contradicts_the_file_is_said(
    gpu: str | None, told: bool, run: Callable[..., Result], tmp_path: Path
) -> None:
    path = write_case("optimum_benchmark", tmp_path, make_requests(3))
    words = [] if gpu is None else ["--gpu", gpu]
    done = run("import", "optimum_benchmark", path, *words, "-o", tmp_path / "o.csv")
    assert done.exit_code == 0
    warning = (
        "warning: the files name the GPU NVIDIA H100 80GB HBM3 (h100_sxm), and the rows are of"
    )
    assert (f"{warning} h200_sxm now" in done.stderr) == told
    assert ("warning" in done.stderr) == told
