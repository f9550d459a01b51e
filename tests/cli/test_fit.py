from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from typer.testing import Result

from bayeslat.posterior import load_posterior
from bayeslat.traces import write_traces
from bayeslat.traces.set_aside import set_aside
from tests.cli.conftest import Workshop
from tests.posteriors import make_configs, make_data, make_frame

pytestmark = pytest.mark.xdist_group("small posterior")

type Run = Callable[..., Result]


def fit(run: Run, workshop: Workshop, *words: object) -> Result:
    return run(
        "fit",
        "--model",
        workshop.spec,
        "-o",
        workshop.folder / "p.nc",
        "--engine",
        "laplace",
        *words,
    )


def test_the_saved_posterior_is_that_of_the_python_call(workshop: Workshop, run: Run) -> None:
    result = fit(run, workshop, workshop.trace())
    assert result.exit_code == 0, result.output
    saved = load_posterior(workshop.folder / "p.nc")
    configs = make_configs(5)
    expected = load_posterior(workshop.posterior).predict(configs, gpu="h100_sxm").frame
    pd.testing.assert_frame_equal(saved.predict(configs, gpu="h100_sxm").frame, expected)
    assert saved.data.attrs["fingerprint"] == make_data().attrs["fingerprint"]


def test_the_tables_name_stages_terms_and_gpus(workshop: Workshop, run: Run) -> None:
    output = fit(run, workshop, workshop.trace()).stdout
    for text in ("converged (laplace)", "decode", "launch", "a100_sxm", "Pareto k", "Saved in"):
        assert text in output
    assert not any(line.endswith("…") for line in output.splitlines())


def test_json_is_one_object_and_nothing_else(workshop: Workshop, run: Run) -> None:
    record = json.loads(fit(run, workshop, workshop.trace(), "--json").stdout)
    assert record["converged"] is True
    assert record["gpus"] == ["a100_sxm", "h100_sxm", "h200_sxm"]
    assert record["rows"] == 120
    assert set(record["stages"]) == {"prefill", "decode"}
    assert record["coefficients"]["decode"]["memory"]["a100_sxm"] > 0


def test_gpus_folders_and_globs(workshop: Workshop, run: Run) -> None:
    folder = workshop.folder / "traces"
    folder.mkdir()
    frame = make_frame()
    for gpu, rows in frame.groupby("gpu"):
        rows.to_csv(folder / f"{gpu}.csv", index=False)
    for source in (folder, folder / "*.csv"):
        record = json.loads(
            fit(run, workshop, source, "--json", "--gpus", "h100_sxm,a100_sxm").stdout
        )
        assert sorted(record["gpus"]) == ["a100_sxm", "h100_sxm"]
        assert record["rows"] == 80
    assert any("Two GPUs" in text for text in record["caveats"])


def test_stages_that_nobody_measured_are_left_out(workshop: Workshop, run: Run) -> None:
    trace = workshop.trace(make_frame().drop(columns="t_decode_ms"))
    refused = fit(run, workshop, trace)
    assert refused.exit_code == 1
    assert "no column 't_decode_ms'" in refused.stderr
    assert "leave it out (`--stages` of the commands" in " ".join(refused.stderr.split())
    assert fit(run, workshop, trace, "--stages", "prefill").exit_code == 0
    saved = load_posterior(workshop.folder / "p.nc")
    assert list(saved.spec.stages) == ["prefill"]
    configs = make_configs(5)
    whole = load_posterior(workshop.posterior).predict(configs, gpu="h100_sxm").frame
    alone = saved.predict(configs, gpu="h100_sxm").frame
    pd.testing.assert_series_equal(alone["prefill_point_ms"], whole["prefill_point_ms"])
    pd.testing.assert_series_equal(
        alone["total_point_ms"], alone["prefill_point_ms"], check_names=False
    )


def test_one_gpu_says_what_it_cannot_know(workshop: Workshop, run: Run) -> None:
    result = fit(run, workshop, workshop.trace(make_frame(gpus=("l40s",))))
    assert result.exit_code == 0
    assert "Note: One GPU (l40s): how GPUs differ is the prior's" in result.stdout


def test_a_fit_of_simulated_rows_says_so(workshop: Workshop, run: Run) -> None:
    simulated, plain = workshop.trace(), workshop.folder / "plain.csv"
    make_frame(gpus=("l40s",)).to_csv(plain, index=False)
    assert "Note: Simulated rows were fitted: what" in fit(run, workshop, simulated).stdout
    assert "Note: Simulated rows were fitted" in run("check", workshop.folder / "p.nc").stdout
    mixed = fit(run, workshop, simulated, plain)
    assert "Simulated rows were fitted (of the kinds simulated, unknown): what" in mixed.stdout
    record = json.loads(run("check", workshop.folder / "p.nc", "--json").stdout)
    assert record["sources"] == ["simulated", "unknown"]
    chosen = json.loads(fit(run, workshop, simulated, plain, "--gpus", "l40s", "--json").stdout)
    assert chosen["sources"] == ["unknown"]
    assert not any("Simulated" in caveat for caveat in chosen["caveats"])


def test_invalid_rows_are_set_aside(workshop: Workshop, run: Run) -> None:
    frame = make_frame()
    frame.loc[[3, 50], "t_decode_ms"] = [-1.0, 0.0]
    frame.loc[[50, 60], "context"] = 0  # which no stage can take
    path = workshop.trace(frame)
    assert fit(run, workshop, path).exit_code == 1
    result = fit(run, workshop, path, "--drop-invalid", "--json")
    assert result.exit_code == 0, result.stderr
    record = json.loads(result.stdout)
    assert record["rows"] == 117
    assert record["dropped"] == {"rows": 3, "file": str(workshop.folder / "p.dropped.parquet")}
    assert "left out for breaking a rule: 3 of 120 rows; see " in result.stderr
    assert "rows 51, 61, column 'context': feature 'log(context)' of stage" in result.stderr
    assert "rows 4, 51, column 't_decode_ms': a latency must be finite" in result.stderr
    dropped = pd.read_parquet(workshop.folder / "p.dropped.parquet")
    pd.testing.assert_frame_equal(
        dropped.reset_index(drop=True), frame.loc[[3, 50, 60]].reset_index(drop=True)
    )


def test_rows_with_text_are_set_aside_too(workshop: Workshop, run: Run) -> None:
    frame = make_frame().astype({"context": object})
    frame.loc[7, "context"] = "long"
    result = fit(run, workshop, workshop.trace(frame, "t.csv"), "--drop-invalid", "--json")
    assert json.loads(result.stdout)["rows"] == 119
    assert pd.read_parquet(workshop.folder / "p.dropped.parquet")["context"].tolist() == ["long"]


def test_an_unconverged_fit_is_not_saved_without_force(workshop: Workshop, run: Run) -> None:
    words = [workshop.trace(), "--engine", "nuts", "--draws", "10", "--tune", "50", "--chains", "2"]
    target = workshop.folder / "p.nc"
    target.write_text("what an earlier run left")
    result = fit(run, workshop, *words)
    assert result.exit_code == 3
    assert "bulk ESS of" in result.stderr
    assert "use more --draws" in result.stderr
    assert "was not written; --force" in result.stderr
    assert target.read_text() == "what an earlier run left"
    forced = fit(run, workshop, *words, "--force", "--json")
    assert forced.exit_code == 0
    assert json.loads(forced.stdout)["converged"] is False
    assert not load_posterior(target).diagnostics.converged
    assert run("check", target).exit_code == 3


def test_the_seed_decides(workshop: Workshop, run: Run) -> None:
    contents = []
    for seed in (1, 1, 2):
        fit(run, workshop, workshop.trace(), "--seed", seed)
        contents.append((workshop.folder / "p.nc").read_bytes())
    assert contents[0] == contents[1]
    assert contents[0] != contents[2]


def test_the_order_of_gpus_does_not_matter(workshop: Workshop, run: Run) -> None:
    words = (workshop.trace(), "--json", "--gpus")
    sorted_, turned = (
        json.loads(fit(run, workshop, *words, gpus).stdout)
        for gpus in ("a100_sxm,h100_sxm", "h100_sxm,A100-SXM4-80GB")
    )
    assert turned == sorted_
    assert turned["gpus"] == ["a100_sxm", "h100_sxm"]


@pytest.mark.parametrize("level", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_python_without_docstrings_is_refused(workshop: Workshop, level: int) -> None:
    out = workshop.folder / "p.nc"
    words = ["fit", workshop.trace(), "-m", workshop.spec, "-o", out, "--engine", "laplace"]
    done = subprocess.run(
        [sys.executable, "-m", "bayeslat", *map(str, words)],
        env={**os.environ, "PYTHONOPTIMIZE": f"{level}", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == level - 1, done.stderr
    assert out.exists() == (level == 1)
    if level == 2:
        assert done.stderr == (
            "error: Python runs without docstrings, which ArviZ needs; set PYTHONOPTIMIZE to 1 at "
            "most (-O in place of -OO)\n"
        )


def test_nothing_to_set_aside(workshop: Workshop, run: Run) -> None:
    result = fit(run, workshop, workshop.trace(), "--drop-invalid", "--json")
    assert "dropped" not in json.loads(result.stdout)
    assert result.stderr == ""
    assert not (workshop.folder / "p.dropped.parquet").exists()


def test_what_an_earlier_run_set_aside_is_removed(workshop: Workshop, run: Run) -> None:
    frame = make_frame()
    frame.loc[3, "t_decode_ms"] = -1.0
    aside = workshop.folder / "p.dropped.parquet"
    fit(run, workshop, workshop.trace(frame, "broken.csv"), "--drop-invalid")
    assert aside.exists()
    words = (workshop.posterior, workshop.trace(), "--drop-invalid", "-o")
    run("drift", *words, workshop.folder / "p.csv")  # another output, with the same place for rows
    assert aside.exists()
    result = fit(run, workshop, workshop.trace(), "--drop-invalid")
    assert f"removed: {aside}, the rows that an earlier run left out" in result.stderr
    assert not aside.exists()


def test_rows_that_the_user_wrote_are_not_removed(workshop: Workshop, run: Run) -> None:
    aside = workshop.folder / "p.dropped.parquet"
    for content in (b"the user's own", None):
        write_traces(make_frame(seed=1), aside)
        aside.write_bytes(content or aside.read_bytes())
        before = aside.read_bytes()
        assert fit(run, workshop, workshop.trace(), "--drop-invalid").exit_code == 0
        assert aside.read_bytes() == before


def test_rows_that_were_set_aside_and_are_read_are_not_removed(
    workshop: Workshop, run: Run
) -> None:
    aside = workshop.folder / "p.dropped.parquet"
    set_aside(make_frame().assign(repeat=1), aside, workshop.folder / "p.nc")
    result = fit(run, workshop, workshop.trace(), aside, "--drop-invalid", "--json")
    assert json.loads(result.stdout)["rows"] == 240
    assert aside.exists()


def test_names_of_gpus_may_be_aliases_with_spaces_round_them(workshop: Workshop, run: Run) -> None:
    words = ("--gpus", " A100-SXM4-80GB , h100_sxm", "--json")
    record = json.loads(fit(run, workshop, workshop.trace(), *words).stdout)
    assert record["gpus"] == ["a100_sxm", "h100_sxm"]
    assert record["rows"] == 80


def test_errors_of_the_fitted_rows_are_those_of_the_check(workshop: Workshop, run: Run) -> None:
    trace = workshop.trace()
    fitted = json.loads(fit(run, workshop, trace, "--json").stdout)["in_sample"]
    checked = json.loads(run("check", workshop.folder / "p.nc", trace, "--json").stdout)
    assert len(checked["predictions"]) == 9
    for row in checked["predictions"]:
        cell = fitted[row["stage"]][row["gpu"]]
        assert cell == {name: row[name] for name in ("rows", "mape", "coverage_90")}


def test_one_chain_has_no_rhat(workshop: Workshop, run: Run) -> None:
    words = ("--engine", "nuts", "--chains", "1", "--draws", "20", "--tune", "50", "--force")
    result = fit(run, workshop, workshop.trace(), *words)
    assert result.exit_code == 0
    assert "nan" not in result.stdout
    record = json.loads(run("check", workshop.folder / "p.nc", "--json").stdout)
    assert record["stages"]["decode"]["rhat"] is None


def test_an_output_that_fails_to_be_written_is_named(
    workshop: Workshop, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("bayeslat.posterior.write_posterior", refuse)
    result = fit(run, workshop, workshop.trace())
    assert result.exit_code == 1
    assert f"{workshop.folder / 'p.nc'}: cannot be written (No space left" in result.stderr


def test_gross_errors_are_named_with_what_to_do(workshop: Workshop, run: Run) -> None:
    assert fit(run, workshop, workshop.trace()).stderr.count("set aside") == 0
    wrong = make_frame().assign(config_id=range(120))
    factor = np.ones(len(wrong))
    factor[[3, 47, 49]] = [100.0, 0.001, 0.001]
    wrong["t_prefill_ms"] *= factor
    trace = workshop.trace(wrong)
    done = fit(run, workshop, trace, "--json")
    assert done.exit_code == 0, done.output
    record = json.loads(done.stdout)
    assert [each["row"] for each in record["gross_errors"]] == [4, 48, 50]
    assert record["stages"]["prefill"]["rows"] == 117
    # Errors of the fitted rows are those of the rows that count.
    assert all(each["mape"] < 0.2 for each in record["in_sample"]["prefill"].values())
    lines = done.stderr.splitlines()
    assert lines[0].startswith("warning: 3 rows of ")
    assert f"- {trace} row 4 (config_id 3): prefill " in done.stderr
    assert "in seconds? write milliseconds" in done.stderr
    # What looks at the posterior later tells of it too.
    path = workshop.folder / "p.nc"
    assert f"- {trace} row 4 (config_id 3): prefill " in run("check", path).stdout
    shown = " ".join(run("check", path, trace).stdout.split())
    assert "Not scored, set aside as gross errors: 1 of a100_sxm, prefill, 2 of h100_sxm" in shown
    assert "3 rows set aside" in repr(load_posterior(path))


def test_a_misnamed_stage_is_told_with_the_nearest_name(
    workshop: Workshop, run: Callable[..., Result]
) -> None:
    trace = workshop.trace(make_frame().rename(columns={"t_prefill_ms": "t_prefil_ms"}))
    out = workshop.folder / "p.nc"
    done = run("fit", trace, "-m", workshop.spec, "-o", out, "--engine", "laplace")
    assert done.exit_code == 1
    assert "column 't_prefil_ms', which is no stage of spec 'small'; rename it to" in done.stderr
    assert "the traces have no column 't_prefill_ms'; nearest: 't_prefil_ms'" in done.stderr


def test_times_that_cannot_be_read_are_told(workshop: Workshop, run: Run) -> None:
    frame = make_frame().assign(collected_at="2026-01-01T00:00:00Z")
    frame.loc[1, "collected_at"] = "soon"
    done = fit(run, workshop, workshop.trace(frame))
    assert "1 of 120 rows has a collected_at that cannot be read (first 'soon'" in done.stderr
