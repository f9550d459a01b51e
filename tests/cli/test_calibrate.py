"""`bayeslat calibrate` adds a GPU and says whether transfer can be trusted."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import Result

from bayeslat.posterior import load_posterior
from tests.cli.conftest import Workshop
from tests.posteriors import make_frame

pytestmark = pytest.mark.xdist_group("small posterior")

TARGET = "l40s"


def rows(count: int = 10, seed: int = 3) -> object:
    """A target of the donors' family, but not one of them."""
    return make_frame(seed, (TARGET,), rows=count)


def test_it_writes_a_posterior_that_holds_the_gpu(
    workshop: Workshop, run: Callable[..., Result]
) -> None:
    out = workshop.folder / "out" / "calibrated.nc"
    trace = workshop.trace(make_frame(0, ("a100_sxm", "h100_sxm", "h200_sxm", TARGET), rows=10))
    done = run("calibrate", workshop.posterior, trace, "--gpu", "NVIDIA L40S", "-o", out, "--json")
    record = json.loads(done.stdout)
    assert done.exit_code == (3 if record["stacks"][0]["verdict"] == "refit as donor" else 0)
    assert record["gpu"] == TARGET
    assert record["stacks"][0]["rows"] == 10  # the rows of the other GPUs are passed over
    assert set(record["stacks"][0]["stages"]) == {"prefill", "decode"}
    calibrated = load_posterior(out)
    assert (TARGET, "") in calibrated.data.targets
    assert calibrated.gpus == load_posterior(workshop.posterior).gpus


def test_rows_of_an_unknown_gpu_are_told(workshop: Workshop, run: Callable[..., Result]) -> None:
    frame = make_frame(0, (TARGET,), rows=10)
    frame.loc[frame.index[:3], "gpu"] = "l40z"
    out = workshop.folder / "calibrated.nc"
    done = run("calibrate", workshop.posterior, workshop.trace(frame), "--gpu", TARGET, "-o", out)
    assert "calibrated with 7 rows" in done.stdout
    told = "left out: 3 of 10 rows: GPU 'l40z' is not in the hardware table; nearest: l40"
    assert told in done.stderr


def test_rows_that_the_posterior_holds_are_told(
    workshop: Workshop, run: Callable[..., Result]
) -> None:
    """Those of the fit as those of an earlier calibration."""
    first, second = workshop.folder / "first.nc", workshop.folder / "second.nc"
    trace = workshop.trace(make_frame(0, (TARGET,), rows=10))
    done = run("calibrate", workshop.posterior, trace, "--gpu", TARGET, "-o", first, "--json")
    assert json.loads(done.stdout)["known_rows"] == 0
    assert "already" not in done.stderr
    later = make_frame(4, (TARGET,), rows=5).assign(repeat=1)
    longer = pd.concat([make_frame(0, (TARGET,), rows=10).assign(repeat=0), later])
    trace = workshop.trace(longer.reset_index(drop=True))
    done = run("calibrate", first, trace, "--gpu", TARGET, "-o", second, "--json")
    assert json.loads(done.stdout)["known_rows"] == 10
    assert json.loads(done.stdout)["stacks"][0]["rows"] == 15
    told = "warning: the posterior holds 10 of the 15 rows already; they count once"
    assert told in done.stderr


def test_n_counts_configurations_that_were_measured(
    workshop: Workshop, run: Callable[..., Result]
) -> None:
    """Not those that ran out of memory."""
    frame = make_frame(0, (TARGET,), rows=12)
    frame.loc[frame.index % 2 == 0, ["t_prefill_ms", "t_decode_ms"]] = np.nan
    frame["outcome"] = np.where(frame.index % 2 == 0, "out of memory", "measured")
    trace, out = workshop.trace(frame), workshop.folder / "calibrated.nc"
    done = run("calibrate", workshop.posterior, trace, "--gpu", TARGET, "-n", 5, "-o", out)
    assert "calibrated with 5 rows" in done.stdout
    assert load_posterior(out).data.targets[TARGET, ""].stages["prefill"].measured == 5
    more = run("calibrate", workshop.posterior, trace, "--gpu", TARGET, "-n", 7, "-o", out)
    assert "the traces hold latencies of 6 configurations of l40s" in " ".join(more.stderr.split())


def test_a_stage_without_rows_is_told(workshop: Workshop, run: Callable[..., Result]) -> None:
    trace = workshop.trace(make_frame(0, (TARGET,), rows=10).assign(t_decode_ms=None))
    out = workshop.folder / "calibrated.nc"
    done = run("calibrate", workshop.posterior, trace, "--gpu", TARGET, "-o", out)
    assert "; nothing was measured of decode" in " ".join(done.stdout.split())


def test_times_that_cannot_be_read_are_told(workshop: Workshop, run: Callable[..., Result]) -> None:
    trace = workshop.trace(make_frame(0, (TARGET,), rows=10).assign(collected_at="soon"))
    out = workshop.folder / "calibrated.nc"
    done = run("calibrate", workshop.posterior, trace, "--gpu", TARGET, "-o", out)
    assert "10 of 10 rows have a collected_at that cannot be read (first 'soon'" in done.stderr


def test_a_misnamed_stage_is_told_with_the_nearest_name(
    workshop: Workshop, run: Callable[..., Result]
) -> None:
    out = workshop.folder / "calibrated.nc"
    frame = make_frame(0, (TARGET,), rows=10).assign(t_queue_ms=1.0)
    one = workshop.trace(frame.rename(columns={"t_prefill_ms": "t_prefil_ms"}))
    done = run("calibrate", workshop.posterior, one, "--gpu", TARGET, "-o", out)
    assert done.exit_code == 0, done.output
    assert "left out: column 't_prefil_ms', which is no stage of spec 'small'" in done.stderr
    assert "rename it to 't_prefill_ms', if that is meant" in done.stderr
    assert "t_queue_ms" not in done.stderr  # near no stage
    other = workshop.trace(frame.rename(columns={"t_prefill_ms": "prefill_s"}))
    done = run("calibrate", workshop.posterior, other, "--gpu", TARGET, "-o", out)
    assert "column 'prefill_s', which is no stage of spec 'small'" in done.stderr
    assert "rename it to 't_prefill_ms', in ms, if that is meant" in done.stderr
    none = workshop.trace(
        frame.rename(columns={"t_prefill_ms": "t_pre_fill_ms", "t_decode_ms": "t_decod_ms"})
    )
    done = run("calibrate", workshop.posterior, none, "--gpu", TARGET, "-o", out)
    assert done.exit_code == 1
    assert (
        "it needs one of t_prefill_ms, t_decode_ms (rename 't_pre_fill_ms' to 't_prefill_ms', "
        "rename 't_decod_ms' to 't_decode_ms', if that is meant)"
    ) in done.stderr


@pytest.mark.parametrize("name", ["t.csv", "t.parquet"])
def test_a_trace_without_rows_is_no_calibration(
    name: str, workshop: Workshop, run: Callable[..., Result]
) -> None:
    out = workshop.folder / "calibrated.nc"
    empty = workshop.folder / name
    header = make_frame(0, (TARGET,)).head(0)
    header.to_csv(empty, index=False) if name.endswith("csv") else header.to_parquet(empty)
    done = run("calibrate", workshop.posterior, empty, "--gpu", TARGET, "-o", out)
    assert done.exit_code == 1
    assert f"{name}: the table has no rows" in done.stderr
    assert "leave the file out" in done.stderr
    assert not out.exists()


def test_the_table_tells_the_verdict(workshop: Workshop, run: Callable[..., Result]) -> None:
    out = workshop.folder / "calibrated.nc"
    done = run("calibrate", workshop.posterior, "--gpu", TARGET, "-o", out)
    assert done.exit_code == 0, done.output
    assert "Verdict: more data" in done.stdout
    assert "more rows" in done.stdout


def test_a_gpu_of_another_law_ends_with_status_3_and_is_written(
    workshop: Workshop, run: Callable[..., Result]
) -> None:
    odd = make_frame(3, (TARGET,), rows=40)
    long = odd["context"] > odd["context"].median()
    odd.loc[long, "t_prefill_ms"] *= 5.0
    out = workshop.folder / "calibrated.nc"
    done = run("calibrate", workshop.posterior, workshop.trace(odd), "--gpu", TARGET, "-o", out)
    assert done.exit_code == 3
    assert "refit as donor" in done.stderr
    assert "prefill" in done.stderr
    assert (TARGET, "") in load_posterior(out).data.targets


def test_passes_that_differ_are_told(workshop: Workshop, run: Callable[..., Result]) -> None:
    once = make_frame(3, (TARGET,), rows=20)
    rng = np.random.default_rng(0)

    def calibrate(factors: tuple[float, ...], *more: str) -> Result:
        passes = [
            once.assign(
                repeat=number,
                t_prefill_ms=once["t_prefill_ms"] * factor * np.exp(0.01 * rng.normal(size=20)),
            )
            for number, factor in enumerate(factors)
        ]
        trace, out = workshop.trace(pd.concat(passes)), workshop.folder / "calibrated.nc"
        return run("calibrate", workshop.posterior, trace, "--gpu", TARGET, "-o", out, *more)

    told = " ".join(calibrate((1.0, 1.3, 0.9)).stdout.split())
    assert "Finding: passes differ: prefill 4" in told
    assert "slower in repeat 1 than in repeat 2" in told
    record = json.loads(calibrate((1.0, 1.3, 0.9), "--json").stdout)["stacks"][0]
    assert record["passes"]["differ"]
    assert record["passes"]["sentence"].startswith("passes differ: ")
    assert record["pass_sd"] > 0
    assert "Finding" not in calibrate((1.0, 1.0, 1.0)).stdout


def test_later_rows_join_earlier_ones(workshop: Workshop, run: Callable[..., Result]) -> None:
    first, second = make_frame(3, (TARGET,), rows=6), make_frame(4, (TARGET,), rows=5)
    once, twice = workshop.folder / "once.nc", workshop.folder / "twice.nc"
    run("calibrate", workshop.posterior, workshop.trace(first), "--gpu", TARGET, "-o", once)
    run("calibrate", once, workshop.trace(second, "b.parquet"), "--gpu", TARGET, "-o", twice)
    target = load_posterior(twice).data.targets[TARGET, ""]
    assert len(target.rows) == 11
    assert {part.measured for part in target.stages.values()} == {11}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--gpu", "no_such_gpu"], "no_such_gpu"),
        (["--gpu", TARGET, "--threshold", "0"], "--threshold is 0"),
        (["--gpu", TARGET, "--threshold", "10"], "as 0.10 for 10 %"),
        (["--gpu", TARGET, "--stack", " "], "the name is empty"),
        (["--gpu", "b200_sxm"], "no rows of GPU b200_sxm"),
    ],
)
def test_bad_input_is_one_clear_error_and_writes_nothing(
    words: list[str], told: str, workshop: Workshop, run: Callable[..., Result]
) -> None:
    out = workshop.folder / "calibrated.nc"
    trace = workshop.trace(make_frame(3, (TARGET,), rows=6))
    done = run("calibrate", workshop.posterior, trace, *words, "-o", out)
    assert done.exit_code == 1
    assert told in done.stderr
    assert "Traceback" not in done.stderr
    assert not out.exists()


def test_every_broken_row_is_told_at_once(workshop: Workshop, run: Callable[..., Result]) -> None:
    broken = make_frame(3, (TARGET,), rows=6).astype({"t_prefill_ms": float})
    broken.loc[1, "t_prefill_ms"] = -1.0
    broken.loc[4, "batch_size"] = np.nan
    path = workshop.folder / "broken.csv"
    broken.to_csv(path, index=False)
    out: Path = workshop.folder / "calibrated.nc"
    done = run("calibrate", workshop.posterior, path, "--gpu", TARGET, "-o", out)
    assert done.exit_code == 1
    assert "t_prefill_ms" in done.stderr
    assert "batch_size" in done.stderr
    assert not out.exists()


def test_a_gross_error_is_named_with_what_to_do(
    workshop: Workshop, run: Callable[..., Result]
) -> None:
    wrong = make_frame(3, (TARGET,), rows=20).assign(config_id=range(20))
    wrong.loc[4, ["t_prefill_ms", "t_decode_ms"]] *= 30.0
    out, trace = workshop.folder / "calibrated.nc", workshop.trace(wrong)
    done = run("calibrate", workshop.posterior, trace, "--gpu", TARGET, "-o", out, "--json")
    assert done.exit_code == 0, done.output
    (stack,) = json.loads(done.stdout)["stacks"]
    assert stack["verdict"] == "more data"
    assert "1 gross error set aside, to be measured again" in stack["sentence"]
    (error,) = stack["gross_errors"]
    assert (error["row"], error["config_id"], error["unsettled"]) == (5, "4", True)
    assert set(error["ratio"]) == {"prefill", "decode"}
    lines = done.stderr.splitlines()
    assert lines[0].startswith("warning: 1 row of l40s was set aside as a gross error")
    assert lines[1].startswith(f"- {trace} row 5 (config_id 4): prefill ")
    assert lines[1].endswith("times too slow; measure it again")
    # What looks at the posterior later tells of it too.
    check = run("check", out)
    assert f"- {trace} row 5 (config_id 4): prefill " in check.stdout
