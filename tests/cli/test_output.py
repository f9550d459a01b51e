"""No command writes over what it reads."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import Result

from tests.cli.conftest import Workshop
from tests.posteriors import make_frame

pytestmark = pytest.mark.xdist_group("small posterior")

type Run = Callable[..., Result]

BUDGET = ("--budget-ms", "300")
GPU = ("--gpu", "l40s")
# What is read, and the output, which is always `c.csv` or `posterior.nc`.
COMMANDS: dict[str, tuple[str, ...]] = {
    "suggest from several": ("suggest", "P", "d.csv", "c.csv", *GPU, "-n", "3", "-o", "c.csv"),
    "suggest from a glob": ("suggest", "P", "?.csv", *GPU, "-n", "3", "-o", "c.csv"),
    "suggest from a folder": ("suggest", "P", ".", *GPU, "-n", "3", "-o", "c.csv"),
    "suggest through a link": ("suggest", "P", "c.csv", *GPU, "-n", "3", "-o", "link.csv"),
    "suggest": ("suggest", "P", "c.csv", *GPU, "-n", "3", "-o", "c.csv"),
    "suggest what is excluded": (
        *("suggest", "P", "d.csv", "--exclude", "c.csv", *GPU, "-n", "3", "-o", "c.csv"),
    ),
    "guard held-out": ("guard", "P", "d.csv", *GPU, *BUDGET, "--held-out", "c.csv", "-o", "c.csv"),
    "drift": ("drift", "P", "c.csv", "-o", "c.csv"),
    "crossval": ("crossval", "c.csv", "-m", "spec.toml", "-o", "c.csv"),
    "simulate": (
        *("simulate", "-m", "spec.toml", "--gpus", "l40s", "--configs", "c.csv", "-o", "c.csv"),
    ),
    "import": ("import", "aiconfigurator", "c.csv", *GPU, "-o", "c.csv"),
    "fit statistics": ("fit", "P", "-o", "P"),
    "compress like": ("compress", "c.csv", "--like", "P", "-o", "P"),
    "export bundle": ("export", "bundle", "P", *GPU, "-o", "P"),
    "dropped rows": (
        *("drift", "P", "w.dropped.parquet", "--drop-invalid", "-o", "w.parquet"),
    ),
}  # fmt: skip


@pytest.fixture
def folder(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> Path:
    workshop.trace(make_frame(5, rows=20), "c.csv")
    workshop.trace(make_frame(6, rows=20), "d.csv")
    broken = make_frame()
    broken.loc[3, "t_decode_ms"] = -1.0
    workshop.trace(broken, "w.dropped.parquet")
    workshop.trace(make_frame(), "w.parquet")
    assert workshop.spec
    (workshop.folder / "link.csv").symlink_to("c.csv")
    monkeypatch.chdir(workshop.folder)
    return workshop.folder


@pytest.mark.parametrize("name", COMMANDS)
def test_an_input_is_no_output(name: str, folder: Path, run: Run) -> None:
    words = ["posterior.nc" if word == "P" else word for word in COMMANDS[name]]
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    done = run(*words)
    assert done.exit_code == 1, done.output
    assert ": writing it would lose what is read from " in done.stderr
    assert "; name another output" in done.stderr
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_folder_that_is_replaced_holds_no_input(folder: Path, run: Run) -> None:
    (folder / "out").mkdir()
    (folder / "out" / "posterior.json").write_text("{}")
    (folder / "posterior.nc").rename(folder / "out" / "p.nc")
    done = run("export", "blis", "out/p.nc", *GPU, "-m", "x", "-o", "out")
    assert "out: writing it would lose what is read from out/p.nc" in done.stderr


def test_what_is_lost_is_named(folder: Path, run: Run) -> None:
    done = run("suggest", "posterior.nc", "d.csv", "?.csv", *GPU, "-n", "3", "-o", "d.csv")
    assert done.stderr == (
        "error: d.csv: writing it would lose what is read from d.csv, ?.csv; name another output\n"
    )


def test_an_output_beside_the_inputs_is_written(folder: Path, run: Run) -> None:
    (folder / "in").mkdir()
    (folder / "c.csv").rename(folder / "in" / "c.csv")
    words = ("suggest", "posterior.nc", "in", *GPU, "-n", "3")
    for _ in range(2):  # an earlier output that is not read
        assert run(*words, "-o", "out.csv").exit_code == 0
    assert run(*words, "-o", "in/new.csv").exit_code == 0
    again = run(*words, "-o", "in/new.csv")  # which is read by now
    assert "in/new.csv: writing it would lose what is read from in;" in again.stderr


@pytest.mark.parametrize(
    "words",
    [
        ("predict", "posterior.nc", "c.csv", *GPU, "-o", "c.csv"),
        ("guard", "posterior.nc", "c.csv", *GPU, *BUDGET, "-o", "c.csv"),
        ("calibrate", "posterior.nc", "t.csv", *GPU, "-o", "posterior.nc"),
    ],
)
def test_what_holds_all_that_was_read_may_replace_it(
    words: tuple[str, ...], folder: Path, workshop: Workshop, run: Run
) -> None:
    workshop.trace(make_frame(7, ("l40s",), rows=5), "t.csv")
    before = pd.read_csv(folder / "c.csv")
    for _ in range(1 + (words[0] == "predict")):
        done = run(*words)
        assert done.exit_code == 0, done.output
    after = pd.read_csv(folder / "c.csv")
    pd.testing.assert_frame_equal(after[before.columns], before)
