"""Bad input gets one clear error and its exit status, and nothing is written or changed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from tests.cli.bad_files import HARDWARE, POSTERIORS, SPECS, TRACES
from tests.cli.bad_options import OPTIONS
from tests.cli.cases import Case
from tests.cli.conftest import Workshop
from tests.posteriors import make_frame

pytestmark = pytest.mark.xdist_group("small posterior")

CASES = [*TRACES, *SPECS, *HARDWARE, *POSTERIORS, *OPTIONS]
EARLIER = "what an earlier run left"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_bad_input(case: Case, workshop: Workshop, run: Callable[..., Result]) -> None:
    words = [case.command, *case.words(workshop)]
    out = workshop.out.with_suffix(".nc" if case.command == "fit" else ".parquet")
    out.parent.mkdir()
    out.write_text(EARLIER)
    if case.command != "check":
        words += ["-o", str(out)]
    if case.command == "fit" and "--engine" not in words:
        words += ["--engine", "laplace"]
    before = sorted(workshop.folder.rglob("*"))

    result = run(*words)

    assert result.exit_code == case.status, result.output
    assert "Traceback" not in result.output
    assert result.stdout == ""
    if case.status == 1:
        assert result.stderr.startswith("error: ")
    assert len(case.told) >= 1
    for text in case.told:
        assert text in result.stderr
    assert out.read_text() == EARLIER
    assert sorted(workshop.folder.rglob("*")) == before


def test_there_are_enough_cases() -> None:
    assert len({case.name for case in CASES}) == len(CASES) >= 90


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("result.h5", "ends in .nc"),
        ("posterior.nc/result.nc", "is a file, not a folder"),
        ("folder.nc", "is a folder"),
        (f"{'x' * 252}.nc", "nothing can be written"),  # too long with what atomic writing adds
    ],
)
def test_a_posterior_that_cannot_be_written(
    name: str, told: str, workshop: Workshop, run: Callable[..., Result]
) -> None:
    (workshop.folder / "folder.nc").mkdir()
    before = sorted(workshop.folder.rglob("*"))
    result = run("fit", "nowhere.csv", "--model", "nowhere.toml", "-o", workshop.folder / name)
    assert result.exit_code == 1
    assert told in result.stderr  # before the inputs are read
    assert sorted(workshop.folder.rglob("*")) == before


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("out.xlsx", "unknown suffix '.xlsx'"),
        ("posterior.nc/out.csv", "is a file, not a folder"),
        ("folder.csv", "is a folder"),
    ],
)
@pytest.mark.parametrize("command", ["predict", "simulate"])
def test_a_table_that_cannot_be_written(
    command: str, name: str, told: str, workshop: Workshop, run: Callable[..., Result]
) -> None:
    (workshop.folder / "folder.csv").mkdir()
    before = sorted(workshop.folder.rglob("*"))
    words = {
        "predict": ["no.nc", "no.csv", "--gpu", "l40s"],
        "simulate": ["--model", "no.toml", "--gpus", "l40s", "--configs", "no.csv"],
    }
    result = run(command, *words[command], "-o", workshop.folder / name)
    assert result.exit_code == 1
    assert told in result.stderr  # before the inputs are read
    assert sorted(workshop.folder.rglob("*")) == before


def test_a_bundle_is_no_folder(workshop: Workshop, run: Callable[..., Result]) -> None:
    (workshop.folder / "folder").mkdir()
    words = ("no.nc", "--gpu", "l40s", "-o", workshop.folder / "folder")
    bundle = run("export", "bundle", *words)
    assert "folder: is a folder; name a file" in bundle.stderr  # before the inputs are read
    assert "is a folder" not in run("export", "blis", *words, "--model", "x").stderr


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("report", "index.html"),
        ("report", "figures/roc.svg"),
        ("compare", "index.html"),
        ("compare", "e3_estimator_model.nc"),
    ],
)
def test_a_folder_where_a_file_is_to_be_is_told_before_the_inputs_are_read(
    command: str, name: str, workshop: Workshop, run: Callable[..., Result]
) -> None:
    (workshop.folder / "out" / name).mkdir(parents=True)
    before = sorted(workshop.folder.rglob("*"))
    words = {
        "report": ["no.nc", "no.csv", "--gpu", "l40s", "--budget-ms", "300"],
        "compare": ["no.csv", "--model", "no.toml", "--target", "l40s"],
    }
    result = run(command, *words[command], "-o", workshop.folder / "out")
    assert result.exit_code == 1
    assert f"out/{name}: is a folder; name a file" in result.stderr
    assert sorted(workshop.folder.rglob("*")) == before


def test_all_faults_of_a_trace_are_told_at_once(
    workshop: Workshop, run: Callable[..., Result]
) -> None:
    frame = make_frame().drop(columns="batch_size").replace({"gpu": {"h100_sxm": "h1000"}})
    frame.loc[[1, 5], "t_decode_ms"] = -1.0
    result = run(
        "fit", workshop.trace(frame), "--model", workshop.spec, "-o", workshop.folder / "p.nc"
    )
    for text in ("'h1000'", "'batch_size'", "t_decode_ms", "rows 2, 6"):
        assert text in result.stderr


def test_a_stage_without_rows_is_told_before_any_is_sampled(
    workshop: Workshop, run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    # To call it would be a TypeError.
    monkeypatch.setattr("bayeslat.inference.engines.draw_stage.sample_nuts", None)
    trace = workshop.trace(make_frame().drop(columns="t_decode_ms"))
    result = run("fit", trace, "--model", workshop.spec, "-o", workshop.folder / "p.nc")
    assert result.exit_code == 1
    assert "stage 'decode'" in result.stderr


def test_a_full_disk_leaves_the_earlier_file(
    workshop: Workshop, run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_space(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("bayeslat.traces.formats.parquet.pq.write_table", no_space)
    out = workshop.folder / "out.parquet"
    out.write_text(EARLIER)
    configs = workshop.text("configs.csv", "batch_size,context,output_tokens\n1,100,10\n")
    before = sorted(workshop.folder.rglob("*"))
    result = run("predict", workshop.posterior, configs, "--gpu", "l40s", "-o", out)
    assert result.exit_code == 1
    assert f"{out}: cannot be written (No space left on device); make room" in result.stderr
    assert out.read_text() == EARLIER
    assert sorted(workshop.folder.rglob("*")) == before


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (["predict", "no.nc", "no.csv", "--gpu", "l40s", "-o", "x.csv"], 1),
        (["predict"], 2),
        (["nope"], 2),
    ],
)
def test_a_process_of_its_own_ends_without_a_traceback(
    words: list[str], status: int, tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bayeslat", *words],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == status
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert not list(tmp_path.iterdir())
