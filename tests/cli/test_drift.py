from __future__ import annotations

import json
from collections.abc import Callable

import pandas as pd
import pytest
from typer.testing import Result

from bayeslat.inference.storage.posterior_file import write_posterior
from bayeslat.traces import write_traces
from tests.cli.conftest import Workshop
from tests.drifts import Scene, make_scene
from tests.posteriors import GPUS, make_configs, make_frame

pytestmark = pytest.mark.xdist_group("drift scene")


@pytest.fixture
def scene(workshop: Workshop) -> Scene:
    """Put the scene's posterior in the workshop."""
    scene = make_scene()
    write_posterior(scene.data, workshop.posterior)
    return scene


def test_stable_rows_end_with_success(
    workshop: Workshop, scene: Scene, run: Callable[..., Result]
) -> None:
    trace = workshop.trace(scene.window(1))
    result = run("drift", workshop.posterior, trace, "-o", workshop.out)
    assert result.exit_code == 0, result.output
    assert "at most 1.00% of calls find one" in result.stdout
    assert "Stable: change of one coefficient that is found" in result.stdout
    frame = pd.read_parquet(workshop.out)
    assert frame[["gpu", "stack", "stage"]].values.tolist() == [
        [GPUS[0], "", "prefill"],
        [GPUS[0], "", "decode"],
    ]
    assert frame["verdict"].tolist() == ["stable", "stable"]


def test_a_drift_ends_with_a_failed_check(
    workshop: Workshop, scene: Scene, run: Callable[..., Result]
) -> None:
    window = scene.window(0, shift=0.10, start=120)
    times = pd.date_range("2026-01-01", periods=len(window), freq="min", tz="UTC")
    window = window.assign(collected_at=times.strftime("%Y-%m-%dT%H:%M:%SZ"))
    trace = workshop.trace(window)
    result = run("drift", workshop.posterior, trace, "-o", workshop.out)
    assert result.exit_code == 3, result.output
    assert f"{GPUS[0]}, decode: change, if it moved" in result.stdout
    assert "Since row 1" in result.stdout
    assert "2026-01-01T0" in result.stdout
    assert "in order of collected_at" in result.stdout
    assert result.stderr.splitlines() == [f"error: drift since the fit: {GPUS[0]} decode"]
    written = pd.read_parquet(workshop.out).set_index("stage")
    assert written.loc["decode", "feature"] == "memory"
    assert str(written.loc["decode", "since"]).startswith("2026-01-01T0")
    printed = run("drift", workshop.posterior, trace, "-o", workshop.out, "--json")
    assert printed.exit_code == 3
    record = json.loads(printed.stdout)
    assert record["drifted"] is True
    assert record["alarm_rate"] == 0.01
    decode = next(each for each in record["stages"] if each["stage"] == "decode")
    assert decode["since"]["row"] == written.loc["decode", "since_row"]
    assert decode["changes"][0]["feature"] == "memory"


def test_rows_that_do_not_tell_their_time_are_told(
    workshop: Workshop, scene: Scene, run: Callable[..., Result]
) -> None:
    trace = workshop.trace(scene.window(1).assign(collected_at="yesterday"))
    words = ("drift", workshop.posterior, trace, "-o", workshop.out)
    told = (
        f"200 of 200 rows have a collected_at that cannot be read (first 'yesterday' in row 1 of "
        f"{trace}), so that rows count in the order of the table; write ISO 8601 with an offset, "
        "as 2026-11-30T12:00:00+00:00"
    )
    assert f"Note: {told}" in run(*words).stdout
    record = json.loads(run(*words, "--json").stdout)
    assert record["notes"] == [told]
    assert record["in_order_of"] == "rows"


def test_the_order_of_each_group_is_told(
    workshop: Workshop, scene: Scene, run: Callable[..., Result]
) -> None:
    moved = scene.window(0, shift=0.10, start=120)
    times = pd.date_range("2026-01-01", periods=len(moved), freq="min", tz="UTC")
    timed = moved.assign(collected_at=times.strftime("%Y-%m-%dT%H:%M:%SZ"))
    frame = pd.concat([timed, scene.window(1, gpu=GPUS[1])], ignore_index=True)
    words = ("drift", workshop.posterior, workshop.trace(frame), "-o", workshop.out)
    told = run(*words).stdout
    assert "in order of collected_at" in told
    assert f"Note: {GPUS[1]}: 200 of 200 rows have a collected_at that is empty" in told
    stages = json.loads(run(*words, "--json").stdout)["stages"]
    orders = {each["gpu"]: each["in_order_of"] for each in stages}
    assert orders == {GPUS[0]: "collected_at", GPUS[1]: "rows"}


def test_noise_alone_names_no_coefficient(
    workshop: Workshop, scene: Scene, run: Callable[..., Result]
) -> None:
    trace = workshop.trace(scene.window(4, noise=2.5))
    result = run("drift", workshop.posterior, trace, "-o", workshop.out)
    assert result.exit_code == 3
    assert "no coefficient" in result.stdout
    assert "times that of the fit" in result.stdout


def test_what_was_not_judged_is_told(
    workshop: Workshop, scene: Scene, run: Callable[..., Result]
) -> None:
    window = scene.window(1)
    far = window.head(20).assign(context=60_000, t_prefill_ms=None)
    other = window.assign(gpu="l40s")
    frame = pd.concat([window.assign(repeat=0), far.assign(repeat=1), other.assign(repeat=0)])
    result = run("drift", workshop.posterior, workshop.trace(frame), "-o", workshop.out)
    assert result.exit_code == 0, result.output
    assert "rows beyond the training range in context; fit" in result.stdout
    assert "Not judged: l40s: the posterior does not hold it" in result.stdout


def test_what_leaves_the_range_of_several_stages_is_told_once(
    workshop: Workshop, scene: Scene, run: Callable[..., Result]
) -> None:
    window = scene.window(1)
    frame = pd.concat([window.assign(repeat=0), window.head(20).assign(batch_size=999, repeat=1)])
    result = run("drift", workshop.posterior, workshop.trace(frame), "-o", workshop.out)
    assert result.exit_code == 0, result.output
    (note,) = [line for line in result.stdout.splitlines() if line.startswith("Note:")]
    assert note.startswith(f"Note: {GPUS[0]}, prefill, decode: not judged: 20 rows beyond the ")
    assert note.endswith("range in batch_size; fit rows that span it")


def test_an_update_of_the_software_is_compared_with_the_stack_before(
    workshop: Workshop, scene: Scene, run: Callable[..., Result]
) -> None:
    trace = workshop.trace(scene.window(1).assign(stack="v2"))
    words = ("drift", workshop.posterior, trace, "-o", workshop.out)
    refused = run(*words)
    assert refused.exit_code == 1
    assert f"does not hold {GPUS[0]} with v2; it holds {GPUS[0]}" in refused.stderr
    assert not workshop.out.exists()


def test_one_gpu_by_its_alias(workshop: Workshop, scene: Scene, run: Callable[..., Result]) -> None:
    both = pd.concat([scene.window(1), scene.window(1, gpu=GPUS[1])])
    out = workshop.folder / "one.csv"
    given = ("--gpu", "A100-SXM4-80GB", "--alarm-rate", "0.05")
    result = run("drift", workshop.posterior, workshop.trace(both), *given, "-o", out, "--json")
    assert result.exit_code == 0, result.output
    assert {each["gpu"] for each in json.loads(result.stdout)["stages"]} == {GPUS[0]}
    assert len(pd.read_csv(out)) == 2


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--alarm-rate", "0"], "--alarm-rate is 0; it must be between 0 and 1"),
        (["--alarm-rate", "nan"], "--alarm-rate is nan; it must be between 0 and 1"),
        (["--allowance", "-1"], "allowance is -1; it must be a number from 0 on"),
        (["--gpu", "h1000"], "'h1000' is not in the hardware table"),
        (["--gpu", "l40s"], "no rows of GPU l40s"),
        (["--stack", " "], "--stack ' '"),
        (["--stack", "v9"], "does not hold a100_sxm with v9"),
    ],
)
def test_impossible_options(
    workshop: Workshop, run: Callable[..., Result], words: list[str], told: str
) -> None:
    given = (workshop.posterior, workshop.trace(), "-o", workshop.out, *words)
    result = run("drift", *given)
    assert result.exit_code == 1
    assert told in result.stderr
    assert not workshop.out.exists()


def test_all_impossible_options_at_once(workshop: Workshop, run: Callable[..., Result]) -> None:
    given = (workshop.posterior, workshop.trace(), "-o", workshop.out, "--stack", " ")
    result = run("drift", *given, "--alarm-rate", "1e-6", "--allowance", "-1")
    assert result.exit_code == 1
    for text in ("--alarm-rate is 1e-06; it must be", "--allowance is -1; it must", "--stack ' '"):
        assert text in result.stderr


@pytest.mark.parametrize(
    ("frame", "told"),
    [
        (make_configs(3).assign(gpu="a100_sxm"), "no latency column"),
        (make_frame().drop(columns="context"), "'context'"),
        (make_frame().assign(t_decode_ms=-1.0), "finite and above 0"),
        (make_frame().head(0), "no rows"),
    ],
)
def test_broken_traces(
    workshop: Workshop, run: Callable[..., Result], frame: pd.DataFrame, told: str
) -> None:
    path = workshop.folder / "bad.parquet"
    write_traces(frame, path)
    result = run("drift", workshop.posterior, path, "-o", workshop.out)
    assert result.exit_code == 1
    assert "bad.parquet" in result.stderr
    assert told in result.stderr
