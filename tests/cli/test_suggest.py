"""`bayeslat suggest` chooses what to measure next, and says what it will buy."""

from __future__ import annotations

import json
from collections.abc import Callable

import pandas as pd
import pytest
from typer.testing import Result

from tests.cli.conftest import Workshop
from tests.posteriors import make_configs, make_frame

pytestmark = pytest.mark.xdist_group("small posterior")

GPU = "l40s"


def test_it_writes_the_chosen_rows(workshop: Workshop, run: Callable[..., Result]) -> None:
    candidates = make_configs(40).assign(note="kept")
    words = (workshop.configs(candidates), "--gpu", "NVIDIA L40S", "-n", 6, "-o", workshop.out)
    done = run("suggest", workshop.posterior, *words, "--json")
    assert done.exit_code == 0, done.output
    record = json.loads(done.stdout)
    frame = pd.read_parquet(workshop.out)
    assert frame["rank"].tolist() == [1, 2, 3, 4, 5, 6]
    assert set(frame["note"]) == {"kept"}
    rows = [each["row"] - 1 for each in record["ranks"]]
    pd.testing.assert_frame_equal(
        frame[list(candidates.columns)],
        candidates.iloc[rows].reset_index(drop=True),
        check_dtype=False,
    )
    assert [each["gain"] for each in record["ranks"]] == frame["gain"].tolist()
    assert record["gpu"] == GPU
    assert (record["candidates"], record["pool"], record["measured"]) == (40, 40, 0)
    errors = [record["before"]["mape"], *(each["mape"] for each in record["ranks"])]
    assert errors == sorted(errors, reverse=True)
    assert "stops_paying_at" in record


def test_the_table_says_what_the_rows_will_buy(
    workshop: Workshop, run: Callable[..., Result]
) -> None:
    words = (workshop.configs(make_configs(60)), "--gpu", GPU, "-n", 40, "-o", workshop.out)
    done = run("suggest", workshop.posterior, *words)
    assert done.exit_code == 0, done.output
    assert "40 of 60 candidates to measure on l40s" in done.stdout
    assert "Expected MAPE of the total" in done.stdout
    assert "more measurements stop paying" in done.stdout
    assert "Ranks 31 to 40 are in the file" in done.stdout
    assert f"Saved in {workshop.out}" in done.stdout
    few = (words[0], "--gpu", GPU, "-n", 5, "-o", workshop.folder / "few.parquet")
    assert "would still pay" in run("suggest", workshop.posterior, *few).stdout


def test_chosen_calibrated_and_chosen_again(workshop: Workshop, run: Callable[..., Result]) -> None:
    trace = make_frame(3, (GPU,), rows=20)
    candidates = workshop.trace(trace, "candidates.parquet")
    first, second = workshop.folder / "first.parquet", workshop.folder / "second.parquet"
    common = (candidates, "--gpu", GPU, "-n", 5)
    assert run("suggest", workshop.posterior, *common, "-o", first).exit_code == 0
    known = workshop.folder / "known.nc"
    run("calibrate", workshop.posterior, first, "--gpu", GPU, "-o", known)
    done = run("suggest", known, *common, "-o", second, "--json")
    record = json.loads(done.stdout)
    assert record["measured"] == 5
    knobs = list(make_configs(1).columns)
    both = pd.concat([pd.read_parquet(first), pd.read_parquet(second)])
    assert not both.duplicated(knobs).any()
    # What was chosen may be named in place of a calibration.
    done = run("suggest", workshop.posterior, *common, "--exclude", first, "-o", second, "--json")
    assert json.loads(done.stdout)["excluded"] == 5


def test_strata_are_covered_and_shown(workshop: Workshop, run: Callable[..., Result]) -> None:
    candidates = make_configs(40).assign(kind=["rare"] * 4 + ["common"] * 36)
    words = (workshop.configs(candidates), "--gpu", GPU, "-o", workshop.out)
    done = run("suggest", workshop.posterior, *words, "-n", 4, "--strata", "kind", "--json")
    assert done.exit_code == 0, done.output
    record = json.loads(done.stdout)
    assert record["strata"] == "kind"
    assert record["covered"] == [
        {"stratum": "common", "candidates": 36, "measured": 0, "chosen": 3},
        {"stratum": "rare", "candidates": 4, "measured": 0, "chosen": 1},
    ]
    done = run("suggest", workshop.posterior, *words, "-n", 4, "--strata", "latency")
    assert "How far the strata are covered" in done.stdout
    assert "1 of 5 strata have no measurement; a larger -n covers more" in done.stdout


def test_every_option_is_told_in_the_record(workshop: Workshop, run: Callable[..., Result]) -> None:
    words = ("--objective", "guardrail", "--budget-ms", 300, "--cost", "latency", "--seed", 3)
    more = ("--method", "maximum_variance", "--gpu", GPU, "-n", 3, "-o", workshop.out, "--json")
    configs = workshop.configs(make_configs(20))
    done = run("suggest", workshop.posterior, configs, *words, *more)
    assert done.exit_code == 0, done.output
    record = json.loads(done.stdout)
    assert (record["objective"], record["budget_ms"], record["cost"]) == (
        "guardrail",
        300.0,
        "latency",
    )
    assert (record["method"], record["seed"]) == ("maximum_variance", 3)
    assert 0 <= record["near"] <= record["pool"] == 20


def test_a_budget_that_no_candidate_is_near_is_told(
    workshop: Workshop, run: Callable[..., Result]
) -> None:
    configs = workshop.configs(make_configs(20))
    words = ("--gpu", GPU, "-n", 3, "--objective", "guardrail", "-o", workshop.out)
    done = run("suggest", workshop.posterior, configs, *words, "--budget-ms", 1e7)
    assert "No candidate's total is near 10,000,000 ms: no measurement can turn" in done.stdout
    done = run("suggest", workshop.posterior, configs, *words, "--budget-ms", 300)
    assert "of 20 candidates may lie on either side of 300 ms" in done.stdout


@pytest.mark.parametrize(
    ("words", "status", "told"),
    [
        (["-n", "41"], 1, "-n is 41, but there are 40 to choose from"),
        (["-n", "0"], 2, "greater than or equal to 1"),
        ([], 2, "Missing option '-n'"),
        (["-n", "3", "--objective", "guardrail"], 1, "without a budget"),
        (["-n", "3", "--budget-ms", "9"], 1, "objective total does not use"),
        (["-n", "3", "--budget-ms", "0"], 1, "--budget-ms is 0"),
        (["-n", "3", "--cost", "euros"], 1, "--cost is 'euros'"),
        (["-n", "3", "--strata", "kind"], 1, "--strata is 'kind'"),
        (["-n", "3", "--method", "best"], 2, "'best' is not one of"),
        (["-n", "3", "--exclude", "nowhere.csv"], 1, "nowhere.csv"),
        (["-n", "3", "--gpu", "no_such_gpu"], 1, "no_such_gpu"),
        (["-n", "3", "--stack", " "], 1, "the name is empty"),
    ],
)
def test_bad_input_is_one_clear_error_and_writes_nothing(
    words: list[str], status: int, told: str, workshop: Workshop, run: Callable[..., Result]
) -> None:
    configs = workshop.configs(make_configs(40))
    done = run("suggest", workshop.posterior, configs, "--gpu", GPU, *words, "-o", workshop.out)
    assert done.exit_code == status
    assert told in done.stderr
    assert "Traceback" not in done.output
    assert not workshop.out.exists()
