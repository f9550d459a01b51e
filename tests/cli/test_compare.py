"""`bayeslat compare` and `bayeslat crossval` write their results, and go on where they stopped."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import Result

from bayeslat.posterior import load_posterior
from tests.cli.conftest import Workshop
from tests.posteriors import make_frame

pytestmark = pytest.mark.xdist_group("small posterior")

GPUS = ("a100_sxm", "h100_sxm", "h200_sxm", "l40s")


def compare(run: Callable[..., Result], workshop: Workshop, out: Path, *words: str) -> Result:
    trace = workshop.trace(make_frame(0, GPUS, rows=40))
    return run(
        "compare", trace, "-m", workshop.spec, "--target", "l40s", "-o", out, "--methods",
        "bayeslat,direct,A,B,B_total_only,ridge", "--counts", "0,5,10", "--repetitions", "2",
        "--jobs", "1", *words,
    )  # fmt: skip


def test_the_documents_files_are_written(workshop: Workshop, run: Callable[..., Result]) -> None:
    out = workshop.folder / "comparison"
    done = compare(run, workshop, out)
    assert done.exit_code == 0, done.output
    assert "MAPE % of the total on l40s" in done.stdout
    for name in (
        "e3_calibration_results.json",
        "e3_transfer_curves.json",
        "e3_estimator_model.nc",
        "figures/e3_prediction_error_vs_samples.png",
        "figures/e3_transfer_curve.png",
        "figures/e3_predicted_vs_actual.png",
        "index.html",
    ):
        assert (out / name).stat().st_size > 0, name
    results = json.loads((out / "e3_calibration_results.json").read_text())
    scores = pd.DataFrame(results["scores"])
    counts = scores[scores["method"] == "bayeslat"].groupby("stage")["rows"].unique()
    assert all(set(held) == {0, 5, 10} for held in counts)
    assert len(results["questions"]) == 4
    verdicts = [each["verdict"] for each in results["findings"]]
    assert len(verdicts) == 4
    assert verdicts[1] == "not measured"  # of 25 to 50 rows: only 10 were run
    assert set(verdicts) <= {"confirmed", "not confirmed", "not measured"}
    curves = json.loads((out / "e3_transfer_curves.json").read_text())
    assert curves["methods"]["bayeslat"]["rows"] == [0, 5, 10]
    assert ("l40s", "") in load_posterior(out / "e3_estimator_model.nc").data.targets
    page = (out / "index.html").read_text()
    assert "http" not in page.replace("http-equiv", "")  # no request leaves the page
    assert "in place of a pickle" in page


def test_it_goes_on_where_it_stopped(workshop: Workshop, run: Callable[..., Result]) -> None:
    out = workshop.folder / "comparison"
    assert compare(run, workshop, out, "--seed", "1").exit_code == 0
    first = json.loads((out / "e3_calibration_results.json").read_text())["scores"]
    kept = sorted((out / ".parts").rglob("*.json"))
    assert len(kept) == 6 * 2
    kept[0].unlink()
    marked = json.loads(kept[1].read_text())
    marked["scores"][0]["mape"] = 123.0  # a part that is there is not run again
    kept[1].write_text(json.dumps(marked))
    assert compare(run, workshop, out, "--seed", "1").exit_code == 0
    again = json.loads((out / "e3_calibration_results.json").read_text())["scores"]
    assert sum(row["mape"] == 123.0 for row in again) == 1
    assert len(again) == len(first)
    assert sum(row != other for row, other in zip(first, again, strict=True)) == 1


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--donors", "a100_sxm,b200_sxm,l40s"], "no rows of GPU b200_sxm"),
        (["--donors", "a100_sxm,b200_sxm,l40s"], "is among the donors"),
        (["--source", "b200_sxm"], "the source b200_sxm is no donor"),
        (["--methods", "A,Z"], "no method 'Z'"),
        (["--counts", "0,-5"], "no number of rows"),
        (["--jobs", "0"], "--jobs is 0; give a number of processes"),
        (["--engine-address", "tcp://10.0.0.7:8786"], "leave one out"),  # --jobs is there
    ],
)
def test_bad_options(
    words: list[str], told: str, workshop: Workshop, run: Callable[..., Result]
) -> None:
    out = workshop.folder / "comparison"
    done = compare(run, workshop, out, *words)
    assert done.exit_code == 1
    assert told in done.stderr
    assert not (out / "index.html").exists()


NAMES = ["--donors", "h1000,h2000", "--counts", "a", "--jobs", "0"]
NAMES_TOLD = ["GPU 'h1000' is", "GPU 'h2000' is", "save these lines", "--counts 'a'", "--jobs is 0"]


@pytest.mark.parametrize(
    ("command", "options", "told"),
    [
        ("crossval", NAMES, NAMES_TOLD),
        (
            "compare",
            [*NAMES, "--target", "h3000", "--methods", "A,Z"],
            [*NAMES_TOLD, "GPU 'h3000' is", "no method 'Z'"],
        ),
        ("fit", ["--stages", "wait", "--gpus", "a,,b"], ["no stage 'wait'", "--gpus 'a,,b'"]),
        ("fit", ["--gpus", "h1000,h2000"], ["GPU 'h1000' is", "GPU 'h2000' is"]),
        ("predict", ["--budget-ms", "-1"], ["--budget-ms is -1", "--stack ' '"]),
        ("suggest", ["-n", "2", "--budget-ms", "-1"], ["--budget-ms is -1", "--stack ' '"]),
        ("calibrate", ["--threshold", "5"], ["--threshold is 5", "--stack ' '"]),
    ],
)
def test_all_bad_options_are_told_at_once(
    command: str,
    options: list[str],
    told: list[str],
    workshop: Workshop,
    run: Callable[..., Result],
) -> None:
    out = workshop.folder / ("p.nc" if command in ("fit", "calibrate") else "out.csv")
    given = (
        [workshop.trace(), "--model", workshop.spec]
        if command in ("fit", "compare", "crossval")
        else [workshop.posterior, workshop.configs(), "--gpu", "l40s", "--stack", " "]
    )
    done = run(command, *given, *options, "-o", out)
    assert done.exit_code == 1
    for text in told:
        assert text in done.stderr
    assert not out.exists()


def test_crossval_tells_the_error_to_expect(workshop: Workshop, run: Callable[..., Result]) -> None:
    trace = workshop.trace(make_frame(0, GPUS, rows=40))
    words = ("crossval", trace, "-m", workshop.spec, "-o", workshop.out, "--counts", "0,5")
    chosen = ("--donors", "a100_sxm,h100_sxm,l40s", "--repetitions", "1", "--jobs", "1")
    done = run(*words, *chosen, "--json")
    assert done.exit_code == 0, done.output
    record = json.loads(done.stdout)
    assert {row["rows"] for row in record["expected"]} == {0, 5}
    assert {row["target"] for row in record["by_target"]} == {"a100_sxm", "h100_sxm", "l40s"}
    assert {row["change"] for row in record["changes"]} == {"with h200_sxm"}
    scores = pd.read_parquet(workshop.out)
    held_out = scores[scores["change"] == "all"]
    pairs = zip(held_out["target"], held_out["donors"].str.split(","), strict=True)
    assert not any(target in donors for target, donors in pairs)
    few = run(*words, "--donors", "a100_sxm,l40s", "--jobs", "1")
    assert few.exit_code == 1
    assert "at least 3 are needed" in few.stderr
