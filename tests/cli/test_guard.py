"""`bayeslat guard` writes its decisions."""

from __future__ import annotations

import json
from collections.abc import Callable

import pandas as pd
import pyarrow.parquet as pq
import pytest
from typer.testing import Result

from bayeslat.evaluation.guardrail.held_out import control_guard
from bayeslat.inference.storage.posterior_file import write_posterior
from bayeslat.posterior import load_posterior
from bayeslat.traces import read_traces
from tests.cli.conftest import Workshop
from tests.posteriors import make_configs, make_data, make_frame

pytestmark = pytest.mark.xdist_group("small posterior")

TARGET = "l40s"


def guard(run: Callable[..., Result], workshop: Workshop, *words: str) -> Result:
    configs = workshop.configs(make_configs(40))
    return run(
        "guard", workshop.posterior, configs, "--gpu", "h100_sxm", "-o", workshop.out, *words
    )


def test_it_writes_what_python_decides(workshop: Workshop, run: Callable[..., Result]) -> None:
    words = ("--budget-ms", "300", "--max-risk", "0.1", "--stage-budget", "decode=20")
    done = guard(run, workshop, *words, "--json")
    assert done.exit_code == 0, done.output
    rule = load_posterior(workshop.posterior).guard(
        "h100_sxm", 300.0, max_risk=0.1, stage_budgets_ms={"decode": 20.0}
    )
    expected = rule.decide(make_configs(40))
    found = pd.read_parquet(workshop.out)
    pd.testing.assert_frame_equal(found, expected, check_dtype=False)
    record = json.loads(done.stdout)
    counts = {name: each["rows"] for name, each in record["decisions"].items()}
    assert counts == {
        name: int((expected["decision"] == name).sum()) for name in ("accept", "reject", "measure")
    }
    assert record["budgets_ms"] == {"total": 300.0, "decode": 20.0}


def test_rows_that_name_another_gpu_are_told(
    workshop: Workshop, run: Callable[..., Result]
) -> None:
    names = pd.Series(["l40s", "h100_sxm", None, "h100_sxm"])
    configs = workshop.configs(make_configs(4).assign(gpu=names))
    words = (workshop.posterior, configs, "--gpu", "h100_sxm", "-o", workshop.out)
    given = ("guard", *words, "--budget-ms", "300")
    told = "Other GPUs: 1 of 4 rows names another (l40s), and is predicted as h100_sxm\n"
    assert told in run(*given).stdout
    assert json.loads(run(*given, "--json").stdout)["other_gpus"] == {"l40s": 1}


def test_the_stack_that_was_used_is_named(workshop: Workshop, run: Callable[..., Result]) -> None:
    data = make_data(gpus=("a100_sxm", "h100_sxm"), stacks=("v1",))
    write_posterior(data, workshop.folder / "stack.nc")
    given = (workshop.folder / "stack.nc", workshop.configs(make_configs(4)), "--budget-ms", "300")
    for gpu, words, stack in (
        ("h100_sxm", (), "v1"),
        ("h100_sxm", ("--stack", "v2"), "v2"),
        ("l40s", (), None),
    ):
        done = run("guard", *given, "--gpu", gpu, *words, "-o", workshop.out, "--json")
        about = json.loads(pq.read_schema(workshop.out).metadata[b"bayeslat_result"])
        assert about["stack"] == json.loads(done.stdout)["stack"] == stack


def test_the_table_tells_why_to_measure(workshop: Workshop, run: Callable[..., Result]) -> None:
    configs = workshop.configs(make_configs(5))
    done = run(
        "guard", workshop.posterior, configs, "--gpu", "l40s", "--budget-ms", "1e9",
        "-o", workshop.out,
    )  # fmt: skip
    assert "measure: 5 rows, because the GPU was not measured" in done.stdout


def test_rows_of_repeats_are_told_apart_from_configs(
    workshop: Workshop, run: Callable[..., Result]
) -> None:
    thrice = workshop.configs(pd.concat([make_configs(5)] * 3, ignore_index=True))
    words = ("--gpu", "h100_sxm", "--budget-ms", "1e9", "-o", workshop.out)
    shown = run("guard", workshop.posterior, thrice, *words).stdout
    assert shown.startswith("15 rows, 5 configs on h100_sxm, one run within total 1e+09 ms")
    record = json.loads(run("guard", workshop.posterior, thrice, *words, "--json").stdout)
    assert (record["rows"], record["configs"]) == (15, 5)
    assert sum(each["rows"] for each in record["decisions"].values()) == 15


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "no budget is given"),
        (["--budget-ms", "0"], "the budget of total is 0; it must be a positive number"),
        (["--budget-ms", "10", "--max-risk", "1"], "--max-risk is 1"),
        (["--stage-budget", "decode"], "write it as in llm_prefill=300"),
        (["--stage-budget", "encode=10"], "no stage 'encode'"),
        (
            ["--stage-budget", "decode=10", "--stage-budget", "decode=99"],
            "of decode is given twice",
        ),
        (["--budget-ms", "10", "--false-accepts", "0"], "--false-accepts is 0"),
        (["--budget-ms", "10", "--confidence", "2"], "--confidence is 2"),
        (["--budget-ms", "10", "--held-out", "nowhere.csv"], "nowhere.csv"),
    ],
)
def test_bad_options(
    words: list[str], told: str, workshop: Workshop, run: Callable[..., Result]
) -> None:
    done = guard(run, workshop, *words)
    assert done.exit_code == 1
    assert told in done.stderr
    assert not workshop.out.exists()


def test_all_bad_options_are_told_at_once(workshop: Workshop, run: Callable[..., Result]) -> None:
    words = ("--stage-budget", "encode=10", "--stage-budget", "decode=-3", "--budget-ms", "-1")
    done = guard(run, workshop, *words, "--max-risk", "3", "--confidence", "2", "--stack", " ")
    assert done.exit_code == 1
    for text in (
        "the budget of total is -1", "no stage 'encode'", "the budget of decode is -3",
        "--max-risk is 3", "--confidence is 2", "--stack is ' '",
    ):  # fmt: skip
        assert text in done.stderr
    assert not workshop.out.exists()


def test_broken_and_impossible_budgets_are_told_at_once(
    workshop: Workshop, run: Callable[..., Result]
) -> None:
    budgets = ("=10", "decode=", "encode=1", "decode=-1", "decode=2")
    done = guard(run, workshop, *(word for text in budgets for word in ("--stage-budget", text)))
    assert done.exit_code == 1
    for text in (
        "--stage-budget '=10'; write it as", "--stage-budget 'decode='; write it as",
        "no stage 'encode'", "the budget of decode is -1", "of decode is given twice",
    ):  # fmt: skip
        assert text in done.stderr
    assert not workshop.out.exists()


def held_out(workshop: Workshop, rows: int = 60) -> str:
    return workshop.trace(make_frame(5, (TARGET,), rows=rows), "held out.parquet")


def test_held_out_rows_bound_the_false_accepts(
    workshop: Workshop, run: Callable[..., Result]
) -> None:
    trace = held_out(workshop)
    known = workshop.folder / "known.nc"
    run("calibrate", workshop.posterior, trace, "--gpu", TARGET, "-n", "20", "-o", known)
    words = ("guard", known, workshop.configs(), "--gpu", TARGET, "--budget-ms", "300")
    limits = ("--held-out", trace, "--false-accepts", "0.1", "--confidence", "0.9")
    done = run(*words, *limits, "-o", workshop.out, "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)["risk_control"]
    rule = load_posterior(known).guard(TARGET, 300.0)
    control = control_guard(rule, read_traces(trace), false_accepts=0.1, confidence=0.9)
    assert (found["configs"], found["limit"], found["confidence"]) == (40, 0.1, 0.9)
    assert found["largest_max_risk"] == control.largest
    assert found["bound"] == control.at(0.05)["bound"]
    assert len(found["levels"]) == len(control.table)
    shown = run(*words, *limits, "-o", workshop.out).stdout
    assert f"False accepts: at most {found['bound']:.2%} of all with 90% confidence" in shown
    assert "by 40 held-out configs" in shown
    assert f"Risk control: {control}" in shown
    without = run(*words, "-o", workshop.out)
    assert "Risk control" not in without.stdout


def test_held_out_rows_without_a_total_are_counted(
    workshop: Workshop, run: Callable[..., Result]
) -> None:
    frame = make_frame(5, (TARGET,), rows=60)
    frame.loc[frame.index[:35], "t_decode_ms"] = None
    frame = pd.concat([frame, frame.head(2).assign(gpu="l40z")])
    trace = workshop.trace(frame, "some lack a stage.parquet")
    words = (workshop.configs(), "--gpu", TARGET, "--budget-ms", "300", "--held-out", trace)
    done = run("guard", workshop.posterior, *words, "-o", workshop.out)
    shown = " ".join(done.stdout.split())
    assert "by 25 held-out configs" in shown
    assert "left out: 2 of 62 rows: GPU 'l40z' is not in the hardware table" in done.stderr
    assert "not counted: 35 more held-out configs, not measured in all stages" in shown


def test_a_donors_held_out_rows_are_told_as_such(
    workshop: Workshop, run: Callable[..., Result]
) -> None:
    done = guard(run, workshop, "--budget-ms", "300", "--held-out", workshop.trace())
    assert done.exit_code == 0, done.output
    assert "if the fit did not see them: the GPU is a donor" in done.stdout


def test_rows_that_calibrated_hold_nothing_out(
    workshop: Workshop, run: Callable[..., Result]
) -> None:
    trace = held_out(workshop, rows=10)
    known = workshop.folder / "known.nc"
    run("calibrate", workshop.posterior, trace, "--gpu", TARGET, "-o", known)
    words = (workshop.configs(), "--gpu", TARGET, "--budget-ms", "300", "--held-out", trace)
    done = run("guard", known, *words, "-o", workshop.out)
    assert done.exit_code == 1
    told = f"error: --held-out {trace}: l40s was calibrated with every config of the trace; add"
    assert done.stderr.startswith(told)
    assert not workshop.out.exists()
