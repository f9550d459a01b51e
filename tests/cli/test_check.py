from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import Result

from bayeslat.posterior import load_posterior
from tests.cli.conftest import Workshop
from tests.posteriors import make_configs, make_frame

CUSTOM = """
[gpus.mine]
aliases = ["My GPU"]
family = "hopper"
mem_bw_GBps = 4800
bf16_tflops = 989
boost_GHz = 1.98
l2_MB = 50
"""

pytestmark = pytest.mark.xdist_group("small posterior")


def test_convergence_alone(workshop: Workshop, run: Callable[..., Result]) -> None:
    result = run("check", workshop.posterior)
    assert result.exit_code == 0
    assert "small on 3 GPUs, 120 rows: converged (laplace)" in result.stdout
    assert "Predictions" not in result.stdout


def test_against_traces(workshop: Workshop, run: Callable[..., Result]) -> None:
    frame = make_frame(gpus=("a100_sxm", "l40s"))
    result = run("check", workshop.posterior, workshop.trace(frame))
    assert result.exit_code == 0
    assert "l40s (zero-shot)" in result.stdout
    assert "bias of" in result.stdout
    assert "median %" in result.stdout  # MAPE is of the point, which lies below
    record = json.loads(run("check", workshop.posterior, workshop.trace(frame), "--json").stdout)
    assert {row["stage"] for row in record["predictions"]} == {"prefill", "decode", "total"}
    assert all(0 <= row["coverage_90"] <= 1 for row in record["predictions"])


def test_a_new_stack_of_a_fitted_gpu_has_its_own_block(
    workshop: Workshop, run: Callable[..., Result]
) -> None:
    frame = make_frame(gpus=("a100_sxm", "h100_sxm")).assign(stack="v1")
    out = workshop.folder / "v1.nc"
    words = ("--model", workshop.spec, "--engine", "laplace", "-o", out)
    assert run("fit", workshop.trace(frame), *words).exit_code == 0
    trace = workshop.trace(pd.concat([frame, frame.tail(1).assign(stack="v2")]))
    lines = [line.strip() for line in run("check", out, trace).stdout.splitlines()]
    blocks = ["a100_sxm", "h100_sxm with v1", "h100_sxm with v2 (zero-shot)"]
    assert [line for line in lines if line.startswith(("a100", "h100"))] == blocks
    rows = json.loads(run("check", out, trace, "--json").stdout)["predictions"]
    told = {(row["gpu"], row["stack"], row["zero_shot"], row["unmeasured"]) for row in rows}
    assert told == {
        ("a100_sxm", "v1", False, ""),
        ("h100_sxm", "v1", False, ""),
        ("h100_sxm", "v2", True, "stack"),
    }


def test_a_misnamed_stage_is_told_with_the_nearest_name(
    workshop: Workshop, run: Callable[..., Result]
) -> None:
    trace = workshop.trace(make_frame().rename(columns={"t_prefill_ms": "t_prefill_s"}))
    result = run("check", workshop.posterior, trace)
    assert result.exit_code == 0
    assert result.stderr == (
        "left out: column 't_prefill_s', which is no stage of spec 'small'; rename it to "
        "'t_prefill_ms', in ms, if that is meant\n"
    )


def test_times_that_cannot_be_read_are_told(workshop: Workshop, run: Callable[..., Result]) -> None:
    frame = make_frame()
    of_one = (frame["gpu"] == "a100_sxm").to_numpy()
    trace = workshop.trace(frame.assign(collected_at=pd.Series("soon", frame.index).where(of_one)))
    result = run("check", workshop.posterior, trace)
    assert result.exit_code == 0
    assert result.stderr == (  # other GPUs have no times at all
        "40 of 40 rows have a collected_at that cannot be read (first 'soon' in row 1 of "
        f"{trace}), so that rows count in the order of the table; write ISO 8601 with an "
        "offset, as 2026-11-30T12:00:00+00:00\n"
    )
    timed = workshop.trace(make_frame().assign(collected_at="2026-01-01T00:00:00Z"))
    assert run("check", workshop.posterior, timed).stderr == ""


@pytest.mark.parametrize("stacks", [[None], ["v1", None]])
def test_times_of_rows_without_a_stack_are_read(
    workshop: Workshop, run: Callable[..., Result], stacks: list[str | None]
) -> None:
    frame = make_frame().assign(collected_at="2026-01-01T00:00:00Z")
    named = pd.Series(stacks * len(frame), dtype=object).head(len(frame)).to_numpy()
    trace = workshop.trace(frame.assign(stack=named))
    done = run("check", workshop.posterior, trace)
    assert done.exit_code in (0, 3), done.output
    assert "collected_at" not in done.stderr


def test_findings_are_told_and_are_no_failure(
    workshop: Workshop, run: Callable[..., Result]
) -> None:
    slower = make_frame().assign(t_decode_ms=make_frame()["t_decode_ms"] * 3)
    result = run("check", workshop.posterior, workshop.trace(slower))
    assert result.exit_code == 0
    assert "Finding: a100_sxm, decode: 90 % intervals cover" in result.stdout


def test_gross_errors_among_further_rows_are_told(
    workshop: Workshop, run: Callable[..., Result]
) -> None:
    frame = make_frame(5, gpus=("l40s",))
    wrong = frame["t_prefill_ms"].where(frame.index != frame.index[4], 30 * frame["t_prefill_ms"])
    trace = workshop.trace(frame.assign(t_prefill_ms=wrong))
    told = " ".join(run("check", workshop.posterior, trace).stdout.split())
    assert "Finding: l40s: 1 row is a gross error, which the GPU's other rows make imposs" in told
    assert "; without it MAPE is prefill " in told
    assert f"- {trace} row 5 (config_id 4): prefill 30 times too slow (899 ms, 30.4 expec" in told
    record = json.loads(run("check", workshop.posterior, trace, "--json").stdout)
    (row,) = record["gross_rows"]
    assert (row["row"], list(row["measured_ms"])) == (5, ["prefill"])
    assert sum("gross error" in finding for finding in record["findings"]) == 1
    assert record["gross_errors"] == []


def test_passes_that_differ_are_told(workshop: Workshop, run: Callable[..., Result]) -> None:
    once = make_frame(gpus=("a100_sxm",))
    trace = workshop.trace(
        pd.concat(
            once.assign(repeat=number, t_decode_ms=once["t_decode_ms"] * factor)
            for number, factor in enumerate((1.0, 1.1, 1.2))
        )
    )
    told = " ".join(run("check", workshop.posterior, trace).stdout.split())
    assert "Finding: a100_sxm: passes differ: " in told
    record = json.loads(run("check", workshop.posterior, trace, "--json").stdout)
    assert record["passes"][0]["stages"]["decode"]["differ"]
    assert any("passes differ" in finding for finding in record["findings"])


def test_a_posterior_that_did_not_converge_fails(
    poor_posterior: Path, run: Callable[..., Result]
) -> None:
    result = run("check", poor_posterior, "--json")
    assert result.exit_code == 3
    record = json.loads(result.stdout)
    assert record["converged"] is False
    assert record["problems"]
    assert result.stderr.splitlines() == [
        *(f"not converged: {problem}" for problem in record["problems"]),
        f"error: {poor_posterior} did not converge; fit again",
    ]


def test_a_gpu_of_a_hardware_file_needs_it_for_the_fit_alone(
    workshop: Workshop, run: Callable[..., Result]
) -> None:
    hardware = workshop.text("hw.toml", CUSTOM)
    trace = workshop.trace(make_frame().replace({"gpu": {"h200_sxm": "My-GPU"}}))
    out = workshop.folder / "custom.nc"
    words = ("--model", workshop.spec, "--engine", "laplace", "-o", out)
    assert run("fit", trace, *words, "--hardware", hardware).exit_code == 0
    assert run("fit", trace, *words).exit_code == 1

    checked = run("check", out, trace)
    assert checked.exit_code == 0, checked.output
    assert "\nmine " in checked.stdout
    assert "zero-shot" not in checked.stdout
    given = (out, workshop.configs(), "--gpu", "My-GPU", "-o", workshop.folder / "out.csv")
    predicted = run("predict", *given, "--json")
    assert predicted.exit_code == 0, predicted.output
    assert json.loads(predicted.stdout)["zero_shot"] == 0
    assert not load_posterior(out).predict(make_configs(1), "My-GPU").zero_shot.any()


def test_a_changed_data_sheet_of_a_fitted_gpu_is_told(
    workshop: Workshop, run: Callable[..., Result]
) -> None:
    same = workshop.text("same.toml", "[gpus.l40s]\nmem_bw_GBps = 900\n")
    assert run("check", workshop.posterior, "--hardware", same).stderr == ""
    other = workshop.text("other.toml", "[gpus.h100_sxm]\nmem_bw_GBps = 900\n")
    result = run("check", workshop.posterior, "--hardware", other)
    assert result.exit_code == 0
    assert (
        "other.toml: h100_sxm: the values that were fitted, or compressed, with are kept"
        in result.stderr
    )


def test_what_a_fit_cannot_know_is_told_again(
    workshop: Workshop, run: Callable[..., Result]
) -> None:
    out = workshop.folder / "one.nc"
    words = ("--model", workshop.spec, "--engine", "laplace", "-o", out, "--gpus", "a100_sxm")
    assert run("fit", workshop.trace(), *words).exit_code == 0
    assert "Note: One GPU (a100_sxm)" in run("check", out).stdout
