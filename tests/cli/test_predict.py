from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import Result

from bayeslat.posterior import load_posterior
from tests.cli.conftest import Workshop
from tests.posteriors import make_configs

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


def test_an_alias_is_the_gpu(workshop: Workshop, run: Run) -> None:
    predict(run, workshop, gpu="NVIDIA H100 80GB HBM3")
    alias = pd.read_parquet(workshop.folder / "out.parquet")
    predict(run, workshop)
    pd.testing.assert_frame_equal(alias, pd.read_parquet(workshop.folder / "out.parquet"))
    assert not alias["zero_shot"].any()


def test_zero_shot_is_told(workshop: Workshop, run: Run) -> None:
    result = predict(run, workshop, gpu="l40s")
    assert "Zero-shot" in result.stdout
    assert pd.read_parquet(workshop.folder / "out.parquet")["zero_shot"].all()


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
    assert record["configs"] == 6
    assert set(record["stages"]) == {"prefill", "decode", "total"}
    assert 0 <= record["mean_p_exceed"] <= 1


def test_a_reader_that_leaves_is_no_error(workshop: Workshop) -> None:
    out = workshop.folder / "out.parquet"
    words = [workshop.posterior, workshop.configs(), "--gpu", "l40s", "-o", str(out)]
    process = subprocess.Popen(
        [sys.executable, "-m", "bayeslat", "predict", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == ""
    process.stderr.close()
    assert process.wait() == 0
    assert out.exists()
