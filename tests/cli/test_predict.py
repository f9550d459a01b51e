from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from typer.testing import Result

from bayeslat.inference.storage.posterior_file import write_posterior
from bayeslat.posterior import load_posterior
from bayeslat.traces import read_configs
from tests.cli.conftest import Workshop
from tests.posteriors import make_configs, make_data, make_frame

pytestmark = pytest.mark.xdist_group("small posterior")

type Run = Callable[..., Result]


def predict(
    run: Run, workshop: Workshop, *words: object, out: str = "out.parquet", gpu: str = "h100_sxm"
) -> Result:
    given = (workshop.posterior, workshop.configs(), "--gpu", gpu, "-o", workshop.folder / out)
    return run("predict", *given, *words)


@pytest.mark.parametrize(
    ("out", "read"),
    [
        ("new/out.parquet", pd.read_parquet),
        ("out.csv", lambda path: pd.read_csv(path, keep_default_na=False)),
        ("out.jsonl", lambda path: pd.read_json(path, lines=True)),
    ],
)
def test_it_writes_what_python_predicts(
    workshop: Workshop, run: Run, out: str, read: Callable[[Path], pd.DataFrame]
) -> None:
    result = predict(run, workshop, "--seed", 3, out=out)
    assert result.exit_code == 0, result.output
    expected = (
        load_posterior(workshop.posterior).predict(make_configs(6), gpu="h100_sxm", seed=3).frame
    )
    found = read(workshop.folder / out)
    assert list(found.columns) == list(expected.columns)
    numbers = expected.select_dtypes("number").columns
    np.testing.assert_allclose(found[numbers], expected[numbers], rtol=1e-9)


def test_a_budget_adds_p_exceed(workshop: Workshop, run: Run) -> None:
    predict(run, workshop, "--budget-ms", 300)
    found = pd.read_parquet(workshop.folder / "out.parquet")
    expected = (
        load_posterior(workshop.posterior).predict(make_configs(6), gpu="h100_sxm").p_exceed(300.0)
    )
    np.testing.assert_array_equal(found["p_exceed"], expected)


def test_an_earlier_p_exceed_does_not_stay(workshop: Workshop, run: Run) -> None:
    path, budget = workshop.configs(), ("--budget-ms", 300)
    columns = []
    for words in ((), budget, budget, ()):
        given = (workshop.posterior, path, "--gpu", "l40s", "-o", path, *words)
        assert run("predict", *given).exit_code == 0
        columns.append(list(pd.read_parquet(path).columns))
    assert columns[1] == columns[2] == [*columns[0], "p_exceed"]
    assert columns[3] == columns[0]


def test_parquet_says_what_the_predictions_are_for(workshop: Workshop, run: Run) -> None:
    words = ("--budget-ms", 300, "--of", "typical", "--stack", "v9", "--seed", 3)
    result = predict(run, workshop, *words, gpu="NVIDIA H100 80GB HBM3")
    about = pq.read_schema(workshop.folder / "out.parquet").metadata[b"bayeslat_result"]
    assert json.loads(about) == {
        "gpu": "h100_sxm",
        "stack": "v9",
        "of": "typical",
        "budget_ms": 300.0,
        "seed": 3,
    }
    assert result.stdout.startswith("6 configs on h100_sxm with v9, the run-to-run median\n")
    read_configs(workshop.folder / "out.parquet")  # it is a table of configs again


def test_rows_of_repeats_are_told_apart_from_configs(workshop: Workshop, run: Run) -> None:
    thrice = workshop.configs(pd.concat([make_configs(5)] * 3, ignore_index=True))
    given = (workshop.posterior, thrice, "--gpu", "l40s", "-o", workshop.out, "--budget-ms", 1e9)
    shown = run("predict", *given).stdout
    assert shown.startswith("15 rows, 5 configs on l40s, one run\n")
    assert "ms: 15 rows within" in shown
    record = json.loads(run("predict", *given, "--json").stdout)
    assert (record["rows"], record["configs"]) == (15, 5)
    # Tasks tell configurations apart: the broken twin of a count of knobs alone.
    frame = pd.concat([make_configs(5).assign(task=task) for task in "ab"], ignore_index=True)
    words = (workshop.posterior, workshop.configs(frame), "--gpu", "l40s", "-o", workshop.out)
    assert run("predict", *words).stdout.startswith("10 configs on l40s, one run\n")


def test_an_alias_is_the_gpu(workshop: Workshop, run: Run) -> None:
    predict(run, workshop, gpu="NVIDIA H100 80GB HBM3")
    alias = pd.read_parquet(workshop.folder / "out.parquet")
    predict(run, workshop)
    pd.testing.assert_frame_equal(alias, pd.read_parquet(workshop.folder / "out.parquet"))
    assert not alias["zero_shot"].any()


def test_zero_shot_is_told(workshop: Workshop, run: Run) -> None:
    result = predict(run, workshop, gpu="l40s")
    assert "Zero-shot: l40s was not measured: from its data sheet" in result.stdout
    assert pd.read_parquet(workshop.folder / "out.parquet")["zero_shot"].all()


def test_rows_that_name_another_gpu_are_told(workshop: Workshop, run: Run) -> None:
    names = ["a100_sxm", "A100-SXM", "h100_sxm", "NVIDIA H100 80GB HBM3", "mine", None]
    words = (workshop.posterior, workshop.configs(make_configs(6).assign(gpu=pd.Series(names))))
    given = ("predict", *words, "--gpu", "h100_sxm", "-o", workshop.out)
    told = "Other GPUs: 3 of 6 rows name another (a100_sxm, mine), and are predicted as h100_sxm\n"
    assert told in run(*given).stdout
    assert json.loads(run(*given, "--json").stdout)["other_gpus"] == {"a100_sxm": 2, "mine": 1}


def test_rows_that_name_no_other_gpu_are_not_told(workshop: Workshop, run: Run) -> None:
    for frame in (
        make_configs(2),
        make_configs(2).assign(gpu=pd.Series(["NVIDIA H100 80GB HBM3", None])),
    ):
        words = (workshop.posterior, workshop.configs(frame), "--gpu", "h100_sxm")
        result = run("predict", *words, "-o", workshop.out)
        assert result.exit_code == 0, result.output
        assert "Other GPUs" not in result.output


def test_a_gpu_of_a_hardware_file(workshop: Workshop, run: Run) -> None:
    file = workshop.text(
        "hw.toml",
        '[gpus.next]\nfamily = "hopper"\nmem_bw_GBps = 6700\n'
        "bf16_tflops = 1978\nboost_GHz = 1.98\nl2_MB = 60\n",
    )
    predict(run, workshop, gpu="h200_sxm")
    slow = pd.read_parquet(workshop.folder / "out.parquet")
    assert predict(run, workshop, "--hardware", file, gpu="next").exit_code == 0
    fast = pd.read_parquet(workshop.folder / "out.parquet")
    assert (fast["prefill_q50_ms"] < slow["prefill_q50_ms"] * 1.5).all()


def test_typical_runs_are_surer(workshop: Workshop, run: Run) -> None:
    predict(run, workshop)
    run_sd = pd.read_parquet(workshop.folder / "out.parquet")["total_sd_ms"]
    predict(run, workshop, "--of", "typical")
    assert (pd.read_parquet(workshop.folder / "out.parquet")["total_sd_ms"] < run_sd).all()


def test_json(workshop: Workshop, run: Run) -> None:
    record = json.loads(predict(run, workshop, "--json", "--budget-ms", 300).stdout)
    found = pd.read_parquet(workshop.folder / "out.parquet")
    assert (record["rows"], record["configs"]) == (6, 6)
    assert record["converged"] is True
    assert set(record["stages"]) == {"prefill", "decode", "total"}
    assert record["stages"]["total"]["most_ms"] == found["total_point_ms"].max()
    p_exceed = found["p_exceed"]
    assert record["budget"] == {
        "budget_ms": 300.0,
        "mean_p_exceed": pytest.approx(p_exceed.mean()),
        "within": (p_exceed <= 0.05).sum(),
        "between": ((p_exceed > 0.05) & (p_exceed < 0.95)).sum(),
        "over": (p_exceed >= 0.95).sum(),
    }
    assert json.loads(predict(run, workshop, "--json").stdout)["budget"] is None


def test_rows_of_several_files_keep_their_order_and_columns(workshop: Workshop, run: Run) -> None:
    first, second = make_configs(4).assign(note=list("dcba")), make_configs(3, seed=1)
    paths = [workshop.trace(frame, f"{n}.parquet") for n, frame in enumerate((first, second))]
    given = ("--gpu", "l40s", "-o", workshop.folder / "out.parquet")
    assert run("predict", workshop.posterior, *paths, *given).exit_code == 0
    found = pd.read_parquet(workshop.folder / "out.parquet")
    assert list(found["note"].fillna("-")) == ["d", "c", "b", "a", "-", "-", "-"]
    expected = pd.concat([first, second], ignore_index=True)[["context", "batch_size"]]
    pd.testing.assert_frame_equal(found[["context", "batch_size"]], expected)
    assert (
        run("predict", workshop.posterior, workshop.folder / "[01].parquet", *given).exit_code == 0
    )
    pd.testing.assert_frame_equal(pd.read_parquet(workshop.folder / "out.parquet"), found)


def test_predictions_may_replace_what_they_were_made_of(workshop: Workshop, run: Run) -> None:
    path = workshop.configs()
    for _ in range(2):
        assert run("predict", workshop.posterior, path, "--gpu", "l40s", "-o", path).exit_code == 0
    found = pd.read_parquet(path)
    assert found.columns.is_unique
    assert list(found["context"]) == list(make_configs(6)["context"])


def test_what_leaves_the_range_is_named(workshop: Workshop, run: Run) -> None:
    far = make_configs(5).assign(context=[100, 200, 300, 10**5, 10**6])
    given = (workshop.posterior, workshop.configs(far), "--gpu", "h100_sxm")
    result = run("predict", *given, "-o", workshop.folder / "out.parquet")
    assert "Extrapolates: 2 of 5 rows" in result.stdout
    assert "prefill: log(context) (2)" in result.stdout


def test_a_posterior_that_did_not_converge_is_told(
    workshop: Workshop, run: Run, poor_posterior: Path
) -> None:
    given = (poor_posterior, workshop.configs(), "--gpu", "l40s")
    result = run("predict", *given, "-o", workshop.folder / "out.csv", "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["converged"] is False
    assert f"`bayeslat check {poor_posterior}` says where" in result.stderr


def test_the_only_stack_of_the_gpu_is_named(workshop: Workshop, run: Run) -> None:
    data = make_data(gpus=("a100_sxm", "h100_sxm"), stacks=("v1",))
    write_posterior(data, workshop.folder / "stack.nc")
    out, configs = workshop.folder / "out.parquet", make_configs(4)
    given = (workshop.folder / "stack.nc", workshop.configs(configs), "-o", out, "--gpu")
    for gpu, stack in (("h100_sxm", "v1"), ("l40s", None)):
        result = run("predict", *given, gpu, "--json")
        about = json.loads(pq.read_schema(out).metadata[b"bayeslat_result"])
        assert about["stack"] == json.loads(result.stdout)["stack"] == stack
    # A column that names several stacks says it row by row.
    several = workshop.configs(configs.assign(stack=["v1", "v2", "v1", "v1"]))
    run("predict", given[0], several, *given[2:], "h100_sxm")
    assert json.loads(pq.read_schema(out).metadata[b"bayeslat_result"])["stack"] is None


def test_stacks_of_the_rows(workshop: Workshop, run: Run) -> None:
    data = make_data(gpus=("a100_sxm", "h100_sxm"), stacks=("v1", "v2"))
    write_posterior(data, workshop.folder / "stacks.nc")
    configs = make_configs(4)
    mixed = configs.assign(stack=["v1", "v2", "v1", "v3"])
    out = workshop.folder / "out.parquet"
    given = (workshop.folder / "stacks.nc", workshop.configs(mixed), "--gpu", "h100_sxm")
    result = run("predict", *given, "-o", out)
    assert (
        "Zero-shot: 1 of 4 rows: stack 'v3' was not measured on h100_sxm (measured with v1, v2)"
        in result.stdout
    )
    found = pd.read_parquet(out)
    given = (workshop.folder / "stacks.nc", workshop.configs(configs), "--gpu", "h100_sxm")
    assert run("predict", *given, "--stack", "v2", "-o", out).exit_code == 0
    alone = pd.read_parquet(out)
    assert found["total_q50_ms"][1] == pytest.approx(alone["total_q50_ms"][1])
    assert found["total_q50_ms"][0] != pytest.approx(alone["total_q50_ms"][0], rel=1e-6)


@pytest.mark.parametrize(
    ("words", "rows"),
    [
        (("predict", "--gpu", "l40s"), "configs"),
        (("guard", "--gpu", "l40s", "--budget-ms", "100"), "configs"),
        (("suggest", "--gpu", "l40s", "-n", "2"), "configs"),
        (("drift",), "trace"),
        (("calibrate", "--gpu", "h100_sxm"), "trace"),
        (("export", "bundle", "--gpu", "h100_sxm"), ""),
    ],
    ids=lambda words: words[0] if isinstance(words, tuple) else "",
)
def test_what_stands_on_poor_draws_says_so(
    workshop: Workshop, run: Run, poor_posterior: Path, words: tuple[str, ...], rows: str
) -> None:
    command = [*words[:2], poor_posterior] if words[0] == "export" else [words[0], poor_posterior]
    given = [getattr(workshop, rows)()] if rows else []
    out = workshop.folder / ("out.nc" if words[0] == "calibrate" else "out.parquet")
    options = words[len(command) - 1 :]
    result = run(*command, *given, *options, "-o", out, "--json")
    assert json.loads(result.stdout)["converged"] is False
    assert f"{poor_posterior} did not converge" in result.stderr


def test_spaces_are_no_part_of_a_stacks_name(workshop: Workshop, run: Run) -> None:
    half = np.arange(len(make_frame())) % 2
    trace = workshop.trace(make_frame().assign(stack=np.where(half, "v1", " v1 ")), "spaced.csv")
    fitted = workshop.folder / "spaced.nc"
    words = ("--model", workshop.spec, "--engine", "laplace", "-o", fitted)
    assert run("fit", trace, *words).exit_code == 0
    assert {stack for _, stack in load_posterior(fitted).data.groups} == {"v1"}
    frames = []
    for number, stack in enumerate(("v1", " v1 ")):
        out = workshop.folder / f"{number}.csv"
        given = (fitted, workshop.configs(), "--gpu", "a100_sxm", "--stack", stack)
        assert run("predict", *given, "-o", out).exit_code == 0
        frames.append(pd.read_csv(out))
    pd.testing.assert_frame_equal(frames[0], frames[1])
