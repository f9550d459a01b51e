"""`bayeslat export bundle` writes the guardrail and its reader."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from bayeslat.export import guard_reader
from tests.cli.conftest import Workshop
from tests.servers import fitted_server, make_trace

pytestmark = pytest.mark.xdist_group("small posterior")


def test_it_writes_a_bundle_and_its_reader(workshop: Workshop, run: Callable[..., Result]) -> None:
    path = workshop.folder / "out" / "guard.bundle"
    words = ("export", "bundle", workshop.posterior, "--gpu", "h100_sxm", "-o", path)
    done = run(*words, "--json")
    assert done.exit_code == 0, done.output
    record = json.loads(done.stdout)
    assert record["bytes"] == path.stat().st_size
    assert record["stages"] == ["prefill", "decode"]
    assert 0 < record["agreement"]["p_exceed"] < 0.005
    assert (path.parent / "guard_reader.py").exists()
    found = guard_reader.load(path)
    assert found.knobs == ("batch_size", "context", "output_tokens")
    shown = run(*words)
    assert "needs NumPy alone" in shown.stdout
    assert "p_exceed is the posterior's to 0.00" in shown.stdout


def test_an_unknown_gpu_writes_nothing(workshop: Workshop, run: Callable[..., Result]) -> None:
    path = workshop.folder / "guard.bundle"
    done = run("export", "bundle", workshop.posterior, "--gpu", "h1000", "-o", path)
    assert done.exit_code == 1
    assert "h1000" in done.stderr
    assert not path.exists()


@pytest.fixture(scope="module")
def server_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("servers") / "servers.nc"
    fitted_server().save(path)
    return path


def test_blis_gets_a_folder(server_file: Path, run: Callable[..., Result], tmp_path: Path) -> None:
    words = ("export", "blis", server_file, "--gpu", "h100_sxm", "--model", "qwen3", "--tp", "2")
    done = run(*words, "--draws", "4", "--alpha", "15000,800,50", "-o", tmp_path / "b", "--json")
    assert done.exit_code == 0, done.output
    record = json.loads(done.stdout)
    assert record["tensor_parallel"] == 2
    assert record["departure_largest"] < 0.05
    assert [row["basis"] for row in record["beta"]][:2] == ["prefill_compute", "decode_compute"]
    assert len(list((tmp_path / "b" / "draws").iterdir())) == 4
    told = json.loads((tmp_path / "b" / "posterior.json").read_text())
    assert told["alpha_us"] == [15000.0, 800.0, 50.0]
    shown = run(*words, "-o", tmp_path / "b")
    assert "run it with command.txt" in shown.stdout
    assert "--whole-prompts fits to that" in shown.stdout
    assert record["kv_blocks"] == 40000


def test_blis_gets_coefficients_for_its_own_count_of_prompts(
    server_file: Path, run: Callable[..., Result], tmp_path: Path
) -> None:
    words = ("export", "blis", server_file, "--gpu", "b200_sxm", "--model", "qwen3")
    shown = run(*words, "--whole-prompts", "-o", tmp_path / "b")
    assert shown.exit_code == 0, shown.output
    assert "by its own count" not in shown.stdout
    assert "put yours in command.txt" in shown.stdout
    assert "No queueing delay in go/" in shown.stdout
    record = json.loads(run(*words, "--whole-prompts", "-o", tmp_path / "b", "--json").stdout)
    assert record["whole_prompts"] is True
    assert record["counted_largest"] == record["departure_largest"]


def test_blis_gets_the_time_between_the_steps_of_a_trace(
    server_file: Path, run: Callable[..., Result], tmp_path: Path
) -> None:
    words = ("export", "blis", server_file, "--gpu", "h100_sxm", "--model", "qwen3")
    out = ("-o", tmp_path / "b")
    assert "--between-steps adds the time between" in run(*words, *out).stdout
    trace = make_trace(20)
    trace.assign(step_interval_ms=trace["t_step_ms"] + 1.5).to_parquet(tmp_path / "t.parquet")
    shown = run(*words, "--between-steps", tmp_path / "t.parquet", *out)
    assert shown.exit_code == 0, shown.output
    assert "Each step holds the 1,500 us before the next" in shown.stdout
    trace.to_parquet(tmp_path / "t.parquet")
    refused = run(*words, "--between-steps", tmp_path / "t.parquet", *out)
    assert refused.exit_code == 1
    assert "step_interval_ms" in refused.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--model", "llama"), "is in no group"),
        (("--model", "qwen3", "--alpha", "1,2"), "three numbers of us"),
        (("--model", "qwen3", "--blis-version", "new"), "write it as v0.7.11"),
    ],
)
def test_what_blis_cannot_take_writes_nothing(
    words: tuple[str, ...],
    message: str,
    server_file: Path,
    run: Callable[..., Result],
    tmp_path: Path,
) -> None:
    out = tmp_path / "b"
    done = run("export", "blis", server_file, "--gpu", "h100_sxm", *words, "-o", out)
    assert done.exit_code == 1
    assert message in done.stderr
    assert not out.exists()
