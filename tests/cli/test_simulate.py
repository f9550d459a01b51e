from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import Result

from bayeslat.traces import provenances, read_traces
from tests.cli.conftest import Workshop
from tests.posteriors import make_configs

type Run = Callable[..., Result]

KNOBS = (
    "--knob",
    "batch_size=1:16",
    "--knob",
    "context=64:4096:log",
    "--knob",
    "output_tokens=1:200",
)


def simulate(run: Run, workshop: Workshop, *words: object, out: str = "sim.parquet") -> Result:
    return run("simulate", "--model", workshop.spec, "-o", workshop.folder / out, *words)


def test_from_ranges_to_a_trace_that_can_be_fitted(workshop: Workshop, run: Run) -> None:
    result = simulate(run, workshop, "--gpus", "a100_sxm,l40s", "-n", 30, *KNOBS, "--repeats", 2)
    assert result.exit_code == 0, result.output
    frame = read_traces(workshop.folder / "sim.parquet")
    assert len(frame) == 120
    (provenance,) = provenances(frame)
    assert provenance is not None
    assert provenance.source == "simulated"
    for text in ("120 simulated rows", "prefill", "l40s", "Saved in", "True parameters in"):
        assert text in result.stdout
    fitted = run(
        "fit",
        workshop.folder / "sim.parquet",
        "--model",
        workshop.spec,
        "-o",
        workshop.folder / "p.nc",
        "--engine",
        "laplace",
    )
    assert fitted.exit_code == 0, fitted.output


def test_knobs_with_defaults_need_no_range(workshop: Workshop, run: Run) -> None:
    text = Path(workshop.spec).read_text(encoding="utf-8")
    spec = workshop.folder / "defaults.toml"
    defaults = '[defaults]\nbatch_size = 4\ncontext = "100 * batch_size"\n[architecture]'
    spec.write_text(text.replace("[architecture]", defaults), encoding="utf-8")
    trace = workshop.folder / "sim.parquet"
    words = ("--gpus", "l40s", "-n", 3, "--knob", "output_tokens=1:200", "-o", trace)
    result = run("simulate", "--model", spec, *words)
    assert result.exit_code == 0, result.output
    frame = read_traces(trace)
    assert set(frame["batch_size"]) == {4}
    assert set(frame["context"]) == {400}


def test_the_true_parameters_make_the_same_trace_again(workshop: Workshop, run: Run) -> None:
    configs = workshop.configs(make_configs(8))
    simulate(run, workshop, "--gpus", "l40s", "--configs", configs, "--seed", 5)
    beside = workshop.folder / "sim.parquet.parameters.json"
    again = simulate(
        run,
        workshop,
        "--gpus",
        "l40s",
        "--configs",
        configs,
        "--seed",
        5,
        "--parameters",
        beside,
        out="again.parquet",
    )
    assert again.exit_code == 0, again.output
    first, second = (
        pd.read_parquet(workshop.folder / name) for name in ("sim.parquet", "again.parquet")
    )
    pd.testing.assert_frame_equal(first, second)


@pytest.mark.parametrize("out", ["sim.csv", "sim.jsonl"])
def test_other_formats_and_stacks(workshop: Workshop, run: Run, out: str) -> None:
    words = ("--gpus", "l40s", "--stacks", "v1,v2", "-n", 5, *KNOBS, "--json")
    record = json.loads(simulate(run, workshop, *words, out=out).stdout)
    assert record["rows"] == 10
    assert record["gpus"] == ["l40s"]
    assert record["stacks"] == ["v1", "v2"]
    frame = read_traces(workshop.folder / out)
    assert sorted(set(frame["stack"])) == ["v1", "v2"]
    assert provenances(frame)[0] is not None
    median = frame["t_prefill_ms"].median()
    assert record["median_ms"]["prefill"]["l40s"] == pytest.approx(median)


def test_each_trace_has_parameters_of_its_own(workshop: Workshop, run: Run) -> None:
    for seed, out in enumerate(("sim.csv", "sim.parquet")):
        words = ("--gpus", "l40s", "-n", 5, *KNOBS, "--seed", seed, "--json")
        record = json.loads(simulate(run, workshop, *words, out=out).stdout)
        assert record["parameters"] == str(workshop.folder / f"{out}.parameters.json")
    first, second = (
        (workshop.folder / f"{out}.parameters.json").read_text()
        for out in ("sim.csv", "sim.parquet")
    )
    assert first != second


def test_parameters_without_a_group_are_told_once_a_group(workshop: Workshop, run: Run) -> None:
    simulate(run, workshop, "--gpus", "l40s", "-n", 5, *KNOBS)
    beside = workshop.folder / "sim.parquet.parameters.json"
    words = ("--gpus", "l40s,a100", "--stacks", "v1", "-n", 5, *KNOBS, "--parameters", beside)
    result = simulate(run, workshop, *words, out="other.parquet")
    assert result.exit_code == 1
    assert result.stderr == (
        "error: simulation parameters: no parameters of group l40s@v1; "
        "no parameters of group a100_sxm@v1; they are of l40s\n"
    )


def test_a_simulation_that_fails_leaves_the_earlier_one(workshop: Workshop, run: Run) -> None:
    simulate(run, workshop, "--gpus", "l40s", "-n", 3, *KNOBS)
    before = {path: path.read_bytes() for path in workshop.folder.rglob("*.parquet")}
    beside = (workshop.folder / "sim.parquet.parameters.json").read_bytes()
    result = simulate(run, workshop, "--gpus", "l40s,h1000", "-n", 3, *KNOBS)
    assert result.exit_code == 1
    assert {path: path.read_bytes() for path in workshop.folder.rglob("*.parquet")} == before
    assert (workshop.folder / "sim.parquet.parameters.json").read_bytes() == beside
