"""`bayeslat collect`, as users call it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from typer.testing import CliRunner, Result

from bayeslat.cli import app
from bayeslat.traces import provenances, read_traces, write_traces

ROOT = Path(__file__).resolve().parents[2]
SMALL = ("--knob", "image_pixels=64,96", "--knob", "prompt_tokens=17:24", "--knob")
RANGES = (*SMALL, "output_tokens=2:4", "--knob", "image_crops=1:2", "--threads", "1")


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    return tmp_path / "out" / "trace.parquet"


@pytest.fixture
def collect(config_path: Path, trace: Path) -> Callable[..., Result]:
    """Run `bayeslat collect vlm` on the small model."""

    def run(*words: object) -> Result:
        named = ["--random-weights", config_path, "--gpu", "epyc_1t_fp32", "--dtype", "float32"]
        command = ["collect", "vlm", *named, "-o", trace, "--device", "cpu", *words]
        return CliRunner().invoke(app, [str(word) for word in command])

    return run


def test_a_design_is_measured_and_told(
    transformers: Any, collect: Callable[..., Result], trace: Path
) -> None:
    done = collect(*RANGES, "-n", 4, "--repeats", 2, "--reference-every", 3)
    assert done.exit_code == 0, done.output
    frame = read_traces(trace)
    own = frame[~frame["reference"]]
    assert own.groupby("config_id").size().tolist() == [2] * 4
    assert frame["reference"].sum() == 4  # first, after 3 and 6 of 8, last
    for stage in ("vision_encoder", "projector", "llm_prefill", "llm_decode_per_token", "total"):
        assert stage in done.stdout
    assert "end-to-end time measured apart" in done.stdout
    assert f"saved in {trace}" in done.stdout
    origin = provenances(frame)[0]
    assert origin is not None
    told = origin.model_dump()
    assert told["source"] == "measured"
    assert told["gpu"]["threads"] == 1
    assert told["parameters"]["weights"] == "random"
    assert told["architecture"]["model_type"] == "qwen3_vl_moe"


def test_what_is_measured_is_not_measured_again(
    transformers: Any, collect: Callable[..., Result], trace: Path
) -> None:
    assert collect(*RANGES, "-n", 3, "--repeats", 1).exit_code == 0
    first = read_traces(trace)
    again = collect(*RANGES, "-n", 3, "--repeats", 1, "--json")
    assert json.loads(again.stdout)["measured"] == 0
    more = collect(*RANGES, "-n", 3, "--repeats", 2, "--json")
    assert json.loads(more.stdout)["left"] == 0
    grown = read_traces(trace)
    pd.testing.assert_frame_equal(grown.head(len(first)), first, check_like=True)
    own = grown[~grown["reference"]]
    assert own.groupby("config_id").size().tolist() == [2] * 3


def test_a_file_of_configurations_is_added(
    transformers: Any, collect: Callable[..., Result], trace: Path, tmp_path: Path
) -> None:
    assert collect(*RANGES, "-n", 2, "--repeats", 1).exit_code == 0
    suggested = tmp_path / "next.csv"
    suggested.write_text(
        "rank,vision_tokens,image_crops,prompt_tokens,top_k,active_blocks,batch_size,output_tokens\n"
        "1,8,2,12,1,3,1,2\n2,4,1,12,2,3,1,2\n",
        encoding="utf-8",
    )
    done = collect("--design", suggested, "--repeats", 1, "--threads", 1)
    assert done.exit_code == 0, done.output
    frame = read_traces(trace)
    added = frame[frame["config_id"] >= 2]
    assert sorted(added["vision_tokens"]) == [4, 8]
    assert set(added["image_pixels"]) == {64}


def test_the_budget_ends_a_collection(
    transformers: Any, collect: Callable[..., Result], trace: Path
) -> None:
    done = collect(*RANGES, "-n", 4, "--budget-minutes", 0, "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["left"] == 12
    assert "12 measurements left" in done.stderr
    assert not trace.exists()
    told = collect(*RANGES, "-n", 4, "--budget-minutes", 0)
    assert "0 rows more; nothing to save" in told.stdout


def test_an_interruption_keeps_the_rows_and_tells_how_to_go_on(
    transformers: Any,
    monkeypatch: pytest.MonkeyPatch,
    collect: Callable[..., Result],
    trace: Path,
) -> None:
    from bayeslat.collect import collection
    from bayeslat.collect.measure import measure as real

    calls: list[int] = []

    def measure(*inputs: Any) -> Any:
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return real(*inputs)

    monkeypatch.setattr(collection, "measure", measure)
    done = collect(*RANGES, "-n", 4)
    assert done.exit_code == 130
    assert "keeps 3 rows, and the same command goes on" in done.stderr
    assert len(read_traces(trace)) == 3


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--knob", "top_k=9,99", "-n", "2"), ("top_k = 9 is not 1 to 8", "top_k = 99", "--knob")),
        (("--knob", "vision_tokens=4"), ("vision_tokens", "image_crops")),
        (("--knob", "no_such=1:2"), ("no_such",)),
        (("--knob", "image_pixels=60"), ("image_pixels = 60", "multiple of 32")),
        (("--knob", "top_k=3:1", "--knob", "batch_size=2:x"), ("top_k=3:1", "'batch_size=2:x'")),
        (("--design", "absent.csv"), ("absent.csv",)),
        (("--design", "soboll"), ("soboll", "did you mean 'sobol'?", "no file")),
        (("--design", "random", "-n", "3"), ("random", "known: sobol, lhs, grid")),
        (("--design", "absent.csv", "-n", "3"), ("--knob and -n",)),
        (("--threads", "999"), ("threads = 999",)),
        (("--gpu", "no_such_gpu"), ("no_such_gpu", "mem_bw_GBps")),
        (("--gpu", "h100_sxm"), ("threads = 1: h100_sxm", "num_sm")),
        (("--device", "tpu"), ("--device",)),
        (("a/model", "-n", "2"), ("name one model",)),
        (("-o", "trace.xyz"), ("trace.xyz", ".parquet")),
    ],
)
def test_bad_input_is_told_and_leaves_no_file(
    transformers: Any,
    collect: Callable[..., Result],
    trace: Path,
    words: tuple[str, ...],
    told: tuple[str, ...],
) -> None:
    threads = () if "--threads" in words else RANGES[-2:]
    ranges = () if any("=" in word or "design" in word for word in words) else RANGES[:-2]
    done = collect(*ranges, *threads, *words)
    assert done.exit_code == 1, done.output
    for text in told:
        assert text in done.stderr
    assert not trace.exists()


def test_another_model_is_not_mixed_in(
    transformers: Any,
    collect: Callable[..., Result],
    trace: Path,
    config_path: Path,
    tmp_path: Path,
) -> None:
    assert collect(*RANGES, "-n", 1, "--repeats", 1).exit_code == 0
    before = trace.read_bytes()
    config = json.loads(config_path.read_text(encoding="utf-8"))
    config["text_config"]["moe_intermediate_size"] = 32
    other = tmp_path / "other.json"
    other.write_text(json.dumps(config), encoding="utf-8")
    done = collect(*RANGES, "-n", 1, "--repeats", 2, "--random-weights", other)
    assert done.exit_code == 1
    assert "architecture" in done.stderr
    assert trace.read_bytes() == before


@pytest.mark.parametrize("library", ["torch", "transformers"])
def test_a_missing_library_is_named_with_its_cure(
    monkeypatch: pytest.MonkeyPatch, collect: Callable[..., Result], trace: Path, library: str
) -> None:
    if library == "transformers":
        pytest.importorskip("torch", reason="torch (extra 'collect') is not installed")
    monkeypatch.setitem(sys.modules, library, None)
    done = collect(*RANGES)
    assert done.exit_code == 1
    assert f"{library} is not installed" in done.stderr
    assert ".[collect]" in done.stderr
    assert not trace.exists()


def test_a_summary_tells_what_traces_are_worth(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "gpu": ["a", "a"],
            "config_id": [0, 0],
            "repeat": [0, 1],
            "reference": False,
            "collected_at": "2026-01-31T12:00:00Z",
            "outcome": "measured",
            "steady": True,
            "t_llm_prefill_ms": [9.0, 11.0],
            "stage_sum_ms": [9.0, 11.0],
            "end_to_end_ms": [9.0, 11.0],
        }
    )
    path = tmp_path / "trace.parquet"
    write_traces(frame, path)
    done = CliRunner().invoke(app, ["collect", "summary", str(path)])
    assert done.exit_code == 0, done.output
    assert "a: 1 config, 2 rows" in done.stdout
    assert "20.0%" in done.stdout
    record = json.loads(CliRunner().invoke(app, ["collect", "summary", str(path), "--json"]).stdout)
    assert record["devices"][0]["stage_sum_over_end_to_end"]["q50"] == 1.0
    write_traces(frame.drop(columns="steady"), path)
    refused = CliRunner().invoke(app, ["collect", "summary", str(path)])
    assert refused.exit_code == 1
    assert "no column steady" in refused.stderr


def test_importing_the_collector_loads_no_heavy_library() -> None:
    heavy = ("torch", "transformers", "pymc", "arviz", "scipy", "matplotlib")
    folder = ROOT / "bayeslat" / "collect"
    modules = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in sorted(folder.rglob("[!_]*.py"))
    ]
    assert modules
    code = (
        f"import sys, {', '.join(modules)}; "
        f"print([name for name in {heavy!r} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


def test_a_collection_loads_neither_pymc_nor_arviz(
    transformers: Any, config_path: Path, trace: Path
) -> None:
    words = ["collect", "vlm", "--random-weights", str(config_path), "--gpu", "epyc_1t_fp32"]
    words += ["--device", "cpu", "--dtype", "float32", *RANGES, "-n", "1", "-o", str(trace)]
    code = (
        "import sys\n"
        "for name in ('pymc', 'arviz', 'pytensor', 'nutpie', 'scipy', 'xarray'):\n"
        "    sys.modules[name] = None\n"
        "from bayeslat.cli import app\n"
        f"app({words!r})\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    assert len(read_traces(trace)) == 5
