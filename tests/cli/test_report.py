"""`bayeslat report` writes a page, its figures and its numbers."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import Result

from bayeslat.posterior import load_posterior
from tests.cli.conftest import Workshop
from tests.posteriors import make_frame
from tests.report.html import Outline

pytestmark = pytest.mark.xdist_group("small posterior")

GPU = "l40s"
FEW = ("--counts", "0,5", "--repetitions", "1", "--test-configs", "12", "-n", "3")


def files_in(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def report(run: Callable[..., Result], workshop: Workshop, *words: object, out: Path) -> Result:
    trace = workshop.trace(make_frame(5, ("a100_sxm", GPU), rows=40), "l40s & donor.parquet")
    given = ("--gpu", GPU, "--budget-ms", "300", *FEW)
    return run("report", workshop.posterior, trace, *given, "-o", out, *words)


def test_page_figures_and_numbers_are_written(
    workshop: Workshop, run: Callable[..., Result]
) -> None:
    out = workshop.folder / "my report" / "l40s"
    done = report(run, workshop, out=out)
    assert done.exit_code == 0, done.output
    names = (
        "error_vs_samples", "predicted_vs_actual", "coverage", "coefficients", "roc", "reliability",
        "e3_guardrail_effectiveness",
    )  # fmt: skip
    assert files_in(out) == {
        "index.html", "report.json", "e3_guardrail_analysis.json",
        *(f"figures/{name}.{kind}" for name in names for kind in ("png", "svg", "json")),
    }  # fmt: skip
    assert "Guardrail on l40s, 5 calibration rows" in done.stdout
    assert "l40s was not calibrated" in done.stdout
    assert "Risk control: " in done.stdout
    assert f"The report is in {out / 'index.html'}" in done.stdout
    outline = Outline.of((out / "index.html").read_text(encoding="utf-8"))
    assert outline.problems == []
    assert "l40s & donor.parquet" in " ".join(outline.text_of("td"))


def test_a_page_about_the_budget_of_a_stage(workshop: Workshop, run: Callable[..., Result]) -> None:
    trace = workshop.trace(make_frame(5, ("a100_sxm", GPU), rows=40))
    for stages in ("decode", "prefill+decode"):
        out = workshop.folder / stages
        given = ("--gpu", GPU, "--stage-budget", f"{stages}=20", *FEW)
        done = run("report", workshop.posterior, trace, *given, "-o", out)
        assert done.exit_code == 0, done.output
        assert f"Guardrail on l40s, {stages}, 5 calibration rows" in done.stdout
        assert f"With a budget of 20 ms for {stages} of each run" in " ".join(done.stdout.split())
        page = (out / "index.html").read_text(encoding="utf-8")
        assert f"a budget of 20 ms for {stages}</h1>" in page
        assert f"Latency of {stages}: configurations that calibrated nothing" in page
        record = json.loads((out / "report.json").read_text())
        assert (record["budget_of"], record["budget_ms"]) == (stages, 20.0)
        assert record["guardrail"]["budget_of"] == stages
        assert {row["rows"] for row in record["errors"]} == {0, 5}


def test_a_page_is_about_one_budget(workshop: Workshop, run: Callable[..., Result]) -> None:
    words = ("report", workshop.posterior, "no.csv", "--gpu", GPU, "-o", workshop.folder / "out")
    none = run(*words)
    assert none.exit_code == 1
    assert "a report is about one budget (none is given); give --budget-ms" in none.stderr
    both = run(*words, "--budget-ms", "300", "--stage-budget", "decode=20")
    assert both.exit_code == 1
    assert "a report is about one budget (total, decode)" in both.stderr
    unknown = run(*words[:2], workshop.trace(), *words[3:], "--stage-budget", "encode=20")
    assert unknown.exit_code == 1
    assert "no stage 'encode'; the posterior has prefill, decode" in unknown.stderr


def test_options_at_fault_are_told_at_once(workshop: Workshop, run: Callable[..., Result]) -> None:
    words = ("report", workshop.posterior, "no.csv", "--gpu", GPU, "-o", workshop.folder / "out")
    done = run(*words, "--max-risk", "2", "--counts", "0,x", "--stack", " ")
    assert done.exit_code == 1
    for told in ("a report is about one budget", "--max-risk is 2", "x is no number", "is empty"):
        assert told in done.stderr


def test_times_that_cannot_be_read_are_told(workshop: Workshop, run: Callable[..., Result]) -> None:
    trace = workshop.trace(make_frame(5, (GPU,), rows=40).assign(collected_at="soon"))
    given = ("--gpu", GPU, "--budget-ms", "300", *FEW)
    done = run("report", workshop.posterior, trace, *given, "-o", workshop.folder / "report")
    assert "40 of 40 rows have a collected_at that cannot be read (first 'soon'" in done.stderr


def test_the_record_is_printed_and_written_alike(
    workshop: Workshop, run: Callable[..., Result]
) -> None:
    out = workshop.folder / "report"
    done = report(run, workshop, "--max-risk", "0.1", "--seed", "3", "--json", out=out)
    assert done.exit_code == 0, done.output
    printed = json.loads(done.stdout)
    files = printed.pop("files")
    assert printed == json.loads((out / "report.json").read_text())
    assert (printed["gpu"], printed["max_risk"], printed["seed"]) == (GPU, 0.1, 3)
    assert len(printed["suggestion"]["configs"]) == 3
    assert {row["rows"] for row in printed["errors"]} == {0, 5}
    assert files["page"] == str(out / "index.html")
    assert all(Path(path).is_file() for path in files.values())
    analysis = json.loads(Path(files["analysis"]).read_text())
    assert analysis == printed["guardrail"]


def test_the_commands_that_made_it_are_on_the_page(
    workshop: Workshop, run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    fitted, known = workshop.folder / "my fit.nc", workshop.folder / "known.nc"
    trace = workshop.trace()
    rows = workshop.trace(make_frame(5, (GPU,), rows=30), "l40s rows.parquet")
    out = workshop.folder / "report"
    steps = (
        ("fit", trace, "--model", workshop.spec, "-o", fitted, "--engine", "laplace"),
        ("calibrate", fitted, rows, "--gpu", GPU, "-n", "8", "-o", known),
        ("report", known, rows, "--gpu", GPU, "--budget-ms", "300", "-o", out, *FEW),
    )
    for step in steps:
        words = [str(word) for word in step]
        monkeypatch.setattr(sys, "argv", ["bayeslat", *words])
        assert run(*words).exit_code in (0, 3)
    history = load_posterior(known).data.attrs["history"]
    assert [command.split()[1] for command in history] == ["fit", "calibrate"]
    assert load_posterior(fitted).data.attrs["history"] == history[:1]
    [shown] = Outline.of((out / "index.html").read_text(encoding="utf-8")).text_of("pre")
    assert shown.splitlines()[:2] == history
    assert shown.splitlines()[2] == (
        f"bayeslat report {known} '{rows}' --gpu l40s --budget-ms 300 -o {out} {' '.join(FEW)}"
    )
    assert f"-o '{fitted}'" in shown  # as a shell takes it


def test_counts_that_the_gpu_has_too_few_configurations_for_are_told(
    workshop: Workshop, run: Callable[..., Result]
) -> None:
    out = workshop.folder / "report"
    done = report(run, workshop, "--counts", "0,5,28,500", out=out)
    told = "trials with 500 rows: l40s has 28 configurations left to calibrate with"
    assert f"Left out: {told}" in " ".join(done.stdout.split())
    assert f"Left out: {told}." in (out / "index.html").read_text(encoding="utf-8")
    assert json.loads((out / "report.json").read_text())["trials"]["skipped"] in told


def test_nothing_known_is_no_page(workshop: Workshop, run: Callable[..., Result]) -> None:
    trace, out = workshop.trace(make_frame(rows=2)), workshop.folder / "report"
    words = ("--gpu", GPU, "--budget-ms", "300", "-n", "50", "-o", out)
    done = run("report", workshop.posterior, trace, *words)
    assert done.exit_code == 1
    assert "error: nothing to say of l40s: no rows of GPU l40s; the trace holds" in done.stderr
    assert not out.exists()


def test_a_donor_and_a_gpu_without_rows_have_a_page_too(
    workshop: Workshop, run: Callable[..., Result]
) -> None:
    trace = workshop.trace()
    for gpu, left_out in (("h100_sxm", "trials need a GPU that was not"), (GPU, "no rows of GPU")):
        out = workshop.folder / gpu
        done = run(
            "report", workshop.posterior, trace, "--gpu", gpu, "--budget-ms", "300", "-o", out, *FEW
        )
        assert done.exit_code == 0, done.output
        assert left_out in done.stdout
        absent = "no row of l40s: the traces hold a100_sxm, h100_sxm, h200_sxm; name one of those"
        assert (absent in done.stderr) == (gpu == GPU)
        assert (out / "index.html").is_file()
        assert not (out / "figures" / "error_vs_samples.png").exists()


@pytest.mark.parametrize(
    ("words", "status", "told"),
    [
        (["--max-risk", "0"], 1, ["--max-risk is 0; it must be between 0 and 1"]),
        (["--budget-ms", "-1"], 1, ["--budget-ms is -1; it must be a positive number of ms"]),
        (["--confidence", "2"], 1, ["--confidence is 2; it must be between 0 and 1"]),
        (["--false-accepts", "0"], 1, ["--false-accepts is 0; it must be between 0 and 1"]),
        (
            ["--max-risk", "7", "--budget-ms", "nan", "--confidence", "0", "--false-accepts", "1"],
            1,
            ["--max-risk is 7", "--budget-ms is nan", "--confidence is 0", "--false-accepts is 1"],
        ),
        (["--gpu", "l4000"], 1, ["'l4000' is not in the hardware table", "nearest: l40"]),
        (["--counts", "a"], 1, ["--counts 'a'", "a is no number of rows"]),
        (["--counts", "-5"], 1, ["-5 is no number of rows"]),
        (["--stack", " "], 1, ["the name is empty"]),
        (["--repetitions", "0"], 2, ["--repetitions"]),
        (["--test-configs", "0"], 2, ["--test-configs"]),
        (["-n", "0"], 2, ["-n"]),
        (["--of", "mean"], 2, ["--of"]),
    ],
)
def test_bad_options_are_told_and_nothing_is_written(
    words: list[str],
    status: int,
    told: list[str],
    workshop: Workshop,
    run: Callable[..., Result],
) -> None:
    out = workshop.folder / "report"
    done = report(run, workshop, *words, out=out)
    assert done.exit_code == status, done.output
    assert "Traceback" not in done.output
    assert done.stdout == ""
    for text in told:
        assert text in done.stderr
    assert not out.exists()


def test_bad_options_are_told_before_any_file_is_read(run: Callable[..., Result]) -> None:
    words = ("no.nc", "no.csv", "--gpu", GPU, "--budget-ms", "0", "-o", "nowhere")
    done = run("report", *words)
    assert done.exit_code == 1
    assert "--budget-ms is 0" in done.stderr
    assert not Path("nowhere").exists()


def test_all_broken_rows_are_told_at_once(workshop: Workshop, run: Callable[..., Result]) -> None:
    frame = make_frame(5, ("a100_sxm", GPU), rows=40)
    frame.loc[[3, 50], "t_decode_ms"] = -1.0
    frame.loc[60, "context"] = np.nan
    trace = workshop.trace(frame)
    out = workshop.folder / "report"
    done = run("report", workshop.posterior, trace, "--gpu", GPU, "--budget-ms", "300", "-o", out)
    assert done.exit_code == 1
    assert "rows 4, 51, column 't_decode_ms'" in done.stderr
    assert "row 61, column 'context'" in done.stderr
    assert not out.exists()


def test_an_output_that_is_a_file_is_told_first(
    workshop: Workshop, run: Callable[..., Result]
) -> None:
    done = report(run, workshop, out=Path(workshop.posterior))
    assert done.exit_code == 1
    assert "is a file, not a folder" in done.stderr
