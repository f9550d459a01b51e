"""Bad input gets one clear error and its exit status, and nothing is written or changed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from typer.testing import Result

from tests.cli.conftest import Workshop
from tests.posteriors import SPEC_TEXT, make_configs, make_frame

pytestmark = pytest.mark.xdist_group("small posterior")

GPU_ENTRY = """
[gpus.mine]
family = "mine"
mem_bw_GBps = 1000
bf16_tflops = 100
boost_GHz = 1.5
l2_MB = 10
"""


@dataclass(frozen=True)
class Case:
    """A command that must fail, and what its message must hold."""

    name: str
    words: Callable[[Workshop], list[str]]
    told: tuple[str, ...]
    status: int = 1
    command: str = field(default="fit")


def changed(**columns: object) -> pd.DataFrame:
    return make_frame().assign(**columns)  # type: ignore[arg-type]


def at_row(column: str, value: Any) -> pd.DataFrame:
    frame = make_frame().astype({column: object})
    frame.loc[3, column] = value
    return frame


def fit_frame(
    name: str, make: Callable[[], pd.DataFrame], *told: str, file: str = "trace.parquet"
) -> Case:
    return Case(name, lambda w: [w.trace(make(), file), "--model", w.spec], told)


def fit_text(name: str, file: str, content: str, *told: str) -> Case:
    return Case(name, lambda w: [w.text(file, content), "--model", w.spec], told)


def fit_spec(name: str, old: str, new: str, *told: str) -> Case:
    assert old in SPEC_TEXT
    text = SPEC_TEXT.replace(old, new, 1)
    return Case(
        name, lambda w: [w.trace(), "--model", w.text("bad.toml", text)], ("bad.toml", *told)
    )


def fit_hardware(name: str, old: str, new: str, *told: str) -> Case:
    assert old in GPU_ENTRY
    text = GPU_ENTRY.replace(old, new, 1)
    return Case(
        name,
        lambda w: [w.trace(), "--model", w.spec, "--hardware", w.text("hw.toml", text)],
        ("hw.toml", *told),
    )


def fit_option(name: str, *words: str, told: tuple[str, ...], status: int = 2) -> Case:
    return Case(name, lambda w: [w.trace(), "--model", w.spec, *words], told, status)


def predict_with(
    name: str, make: Callable[[Workshop], list[str]], *told: str, status: int = 1
) -> Case:
    return Case(name, make, told, status, "predict")


def predict_option(name: str, *words: str, told: tuple[str, ...], status: int = 1) -> Case:
    return predict_with(
        name,
        lambda w: [w.posterior, w.configs(), "--gpu", "a100_sxm", *words],
        *told,
        status=status,
    )


def broken_posterior(name: str, change: Callable[[bytes], bytes], *told: str) -> Case:
    def words(w: Workshop) -> list[str]:
        path = w.folder / "broken.nc"
        path.write_bytes(change(Path(w.posterior).read_bytes()))
        return [str(path), w.configs(), "--gpu", "a100_sxm"]

    return predict_with(name, words, "broken.nc", *told)


def simulate_with(name: str, *words: str, told: tuple[str, ...], status: int = 1) -> Case:
    return Case(name, lambda w: ["--model", w.spec, *words], told, status, "simulate")


def other_netcdf(w: Workshop) -> list[str]:
    path = w.folder / "other.nc"
    xr.Dataset({"x": ("y", [1.0])}).to_netcdf(path, engine="h5netcdf")
    return [str(path), w.configs(), "--gpu", "a100_sxm"]


def broken_parquet(w: Workshop) -> list[str]:
    path = Path(w.trace())
    path.write_bytes(path.read_bytes()[:-50])
    return [str(path), "--model", w.spec]


def empty_folder(w: Workshop) -> list[str]:
    (w.folder / "nothing").mkdir()
    return [str(w.folder / "nothing"), "--model", w.spec]


def bad_parameters(w: Workshop) -> list[str]:
    return [
        *("--model", w.spec, "--gpus", "l40s", "--configs", w.configs()),
        *("--parameters", w.text("true.json", '{"stages": {}}')),
    ]


TRACES = [
    fit_frame(
        "unknown GPU", lambda: changed(gpu="h1000"), "gpu", "'h1000'", "nearest", "--hardware"
    ),
    fit_frame("no GPU column", lambda: make_frame().drop(columns="gpu"), "gpu", "trace.parquet"),
    fit_frame("missing GPU", lambda: at_row("gpu", None), "gpu", "row 4"),
    fit_frame(
        "missing knob", lambda: make_frame().drop(columns="context"), "'context'", "add the column"
    ),
    fit_frame(
        "two missing knobs",
        lambda: make_frame().drop(columns=["context", "batch_size"]),
        "'context'",
        "'batch_size'",
    ),
    fit_frame(
        "text in a knob",
        lambda: at_row("context", "long"),
        "'context'",
        "finite number",
        file="trace.csv",
    ),
    fit_frame("NaN in a knob", lambda: changed(context=np.nan), "'context'", "finite number"),
    fit_frame("infinite knob", lambda: changed(context=np.inf), "'context'", "finite number"),
    fit_frame(
        "zero latency",
        lambda: at_row("t_decode_ms", 0.0).astype({"t_decode_ms": float}),
        "t_decode_ms",
        "row 4",
    ),
    fit_frame("negative latency", lambda: changed(t_decode_ms=-1.0), "t_decode_ms"),
    fit_frame("infinite latency", lambda: changed(t_decode_ms=np.inf), "t_decode_ms"),
    fit_frame(
        "text as latency", lambda: at_row("t_decode_ms", "fast"), "t_decode_ms", file="trace.csv"
    ),
    fit_frame(
        "latency in seconds",
        lambda: changed(t_prefill_ms=make_frame()["t_prefill_ms"] / 1e3),
        "t_prefill_ms",
        "seconds",
    ),
    fit_frame(
        "latency in nanoseconds",
        lambda: changed(t_prefill_ms=make_frame()["t_prefill_ms"] * 1e6),
        "t_prefill_ms",
        "milliseconds",
    ),
    fit_frame(
        "no stage",
        lambda: make_frame().drop(columns=["t_prefill_ms", "t_decode_ms"]),
        "no latency column",
        "t_<stage>_ms",
    ),
    fit_frame(
        "nothing measured", lambda: changed(t_decode_ms=np.nan), "decode", "Measure the stage"
    ),
    fit_frame(
        "twice the same config",
        lambda: make_frame().assign(config_id=0).drop(columns="repeat"),
        "config_id",
        "repeat",
    ),
    fit_frame("no rows", lambda: make_frame().head(0), "trace.parquet"),
    fit_text("empty file", "t.csv", "", "t.csv"),
    fit_text("ragged CSV", "t.csv", "gpu,context\nl40s,1\nl40s,2,3\n", "t.csv"),
    fit_text("broken JSON Lines", "t.jsonl", '{"gpu": "l40s"}\n{"gpu":\n', "t.jsonl", "2"),
    fit_text("unknown suffix", "t.xlsx", "gpu", "t.xlsx", ".parquet"),
    Case("cut Parquet", broken_parquet, ("trace.parquet",)),
    Case(
        "missing file",
        lambda w: ["nowhere.csv", "--model", w.spec],
        ("nowhere.csv", "check the path"),
    ),
    Case("empty folder", empty_folder, ("nothing",)),
    Case("glob without match", lambda w: [str(w.folder / "*.pq"), "--model", w.spec], ("*.pq",)),
]

SPECS = [
    fit_spec("not TOML", "[stages.decode]", "[stages.decode", "TOML"),
    fit_spec("no name", 'name = "small"', "", "name"),
    fit_spec("unknown key", 'name = "small"', 'name = "small"\ncolour = 1', "colour"),
    fit_spec("unknown name", "context * weights", "contxt * weights", "contxt", "context"),
    fit_spec("attribute", "context * weights", "context.real * weights", "prefill"),
    fit_spec("call", "context * weights", "open(context) * weights", "open"),
    fit_spec("dunder", "context * weights", "__import__ * weights", "__import__"),
    fit_spec("half an expression", "context * weights", "context *", "prefill"),
    fit_spec("degree 9", "degree = 2", "degree = 9", "degree"),
    fit_spec("text as constant", "weights = 1e9", 'weights = "many"', "weights"),
    fit_spec(
        "mixed kinds",
        'launch = "2.0"',
        'launch = "1 / (bf16_tflops * mem_bw_GBps)"',
        "launch",
        "kind",
    ),
    Case("missing spec", lambda w: [w.trace(), "--model", "nowhere.toml"], ("nowhere.toml",)),
    Case(
        "spec is a folder",
        lambda w: [w.trace(), "--model", str(w.folder)],
        (),
    ),
]

HARDWARE = [
    fit_hardware("no bandwidth", "mem_bw_GBps = 1000\n", "", "mem_bw_GBps"),
    fit_hardware("negative bandwidth", "= 1000", "= -1000", "mem_bw_GBps"),
    fit_hardware("clock in MHz", "= 1.5", "= 1500", "boost_GHz"),
    fit_hardware("no peak", "bf16_tflops = 100\n", "", "tflops"),
    fit_hardware("unknown field", "l2_MB = 10", "l2_MB = 10\nfans = 2", "fans"),
    fit_hardware("not TOML", "[gpus.mine]", "[gpus.mine", "hw.toml"),
    fit_option(
        "missing hardware file", "--hardware", "nowhere.toml", told=("nowhere.toml",), status=1
    ),
]

POSTERIORS = [
    broken_posterior("cut short", lambda content: content[:-1000], "cut short"),
    broken_posterior("seal lost", lambda content: content[:-10], "cut short"),
    broken_posterior("empty posterior", lambda _: b"", "is empty"),
    broken_posterior("text", lambda _: b"not a posterior", "not a NetCDF file"),
    broken_posterior("flipped", lambda c: c[:5000] + bytes([c[5000] ^ 1]) + c[5001:], "damaged"),
    predict_with("other NetCDF", other_netcdf, "other.nc", "no posterior"),
    predict_with(
        "missing posterior",
        lambda w: ["no.nc", w.configs(), "--gpu", "l40s"],
        "no.nc",
        "no such file",
    ),
    predict_with(
        "posterior is a folder",
        lambda w: [str(w.folder), w.configs(), "--gpu", "l40s"],
        "is a folder",
    ),
]

OPTIONS = [
    fit_option("unknown engine", "--engine", "gibbs", told=("gibbs", "nuts")),
    fit_option("too few draws", "--draws", "1", told=("--draws",)),
    fit_option("draws in words", "--draws", "many", told=("--draws",)),
    fit_option("negative seed", "--seed", "-1", told=("--seed",)),
    fit_option("no chains", "--chains", "0", told=("--chains",)),
    fit_option("unknown option", "--fast", told=("--fast",)),
    fit_option("unknown GPU to fit", "--gpus", "h1000", told=("'h1000'",), status=1),
    fit_option(
        "GPU without rows", "--gpus", "l40s", told=("no rows of GPU l40s", "a100_sxm"), status=1
    ),
    predict_option("zero budget", "--budget-ms", "0", told=("budget_ms", "positive")),
    predict_option("negative budget", "--budget-ms", "-5", told=("budget_ms", "positive")),
    predict_option("NaN budget", "--budget-ms", "nan", told=("budget_ms", "positive")),
    predict_option("unknown meaning", "--of", "mean", told=("mean", "typical"), status=2),
    predict_with(
        "unknown GPU to predict",
        lambda w: [w.posterior, w.configs(), "--gpu", "h1000"],
        "'h1000'",
        "nearest",
    ),
    predict_with("no GPU", lambda w: [w.posterior, w.configs()], "--gpu", status=2),
    predict_with(
        "configs without a knob",
        lambda w: [
            w.posterior,
            w.configs(make_configs(3).drop(columns="context")),
            "--gpu",
            "l40s",
        ],
        "'context'",
        "add the column",
    ),
    predict_with(
        "configs without rows",
        lambda w: [w.posterior, w.configs(make_configs(3).head(0)), "--gpu", "l40s"],
    ),
    simulate_with("no configs", "--gpus", "l40s", told=("--configs", "-n")),
    simulate_with(
        "no ranges",
        "--gpus",
        "l40s",
        "-n",
        "3",
        told=("batch_size, context, output_tokens", "--knob"),
    ),
    simulate_with(
        "bad range", "--gpus", "l40s", "-n", "3", "--knob", "context=9:1", told=("'context=9:1'",)
    ),
    simulate_with("no count", "--gpus", "l40s", "-n", "0", told=("-n",), status=2),
    Case(
        "parameters of another spec",
        bad_parameters,
        ("stage prefill, decode is missing",),
        command="simulate",
    ),
]


@pytest.mark.parametrize(
    "case", [*TRACES, *SPECS, *HARDWARE, *POSTERIORS, *OPTIONS], ids=lambda case: case.name
)
def test_bad_input(case: Case, workshop: Workshop, run: Callable[..., Result]) -> None:
    words = case.words(workshop)
    out = workshop.out.with_suffix(".nc" if case.command == "fit" else ".parquet")
    out.parent.mkdir()
    out.write_text("what an earlier run left")
    result = run(
        case.command,
        *words,
        "-o",
        out,
        *(["--engine", "laplace"] if case.command == "fit" and "--engine" not in words else []),
    )
    assert result.exit_code == case.status, result.output
    assert "Traceback" not in result.output
    assert result.stdout == ""
    if case.status == 1:
        assert result.stderr.startswith("error: ")
    for text in case.told:
        assert text in result.stderr
    assert out.read_text() == "what an earlier run left"
    assert list(out.parent.iterdir()) == [out]


def test_there_are_enough_cases() -> None:
    assert len(TRACES) + len(SPECS) + len(HARDWARE) + len(POSTERIORS) + len(OPTIONS) >= 60


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("result.h5", "ends in .nc"),
        ("posterior.nc/result.nc", "is a file, not a folder"),
        ("folder.nc", "is a folder"),
    ],
)
def test_an_output_that_cannot_be(
    name: str, told: str, workshop: Workshop, run: Callable[..., Result]
) -> None:
    (workshop.folder / "folder.nc").mkdir()
    before = sorted(workshop.folder.rglob("*"))
    result = run("fit", "nowhere.csv", "--model", "nowhere.toml", "-o", workshop.folder / name)
    assert result.exit_code == 1
    assert told in result.stderr  # before the inputs are read
    assert sorted(workshop.folder.rglob("*")) == before


def test_all_faults_of_a_trace_are_told_at_once(
    workshop: Workshop, run: Callable[..., Result]
) -> None:
    frame = make_frame().drop(columns="batch_size").replace({"gpu": {"h100_sxm": "h1000"}})
    frame.loc[[1, 5], "t_decode_ms"] = -1.0
    result = run(
        "fit", workshop.trace(frame), "--model", workshop.spec, "-o", workshop.folder / "p.nc"
    )
    for text in ("'h1000'", "'batch_size'", "t_decode_ms", "row"):
        assert text in result.stderr


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (["predict", "no.nc", "no.csv", "--gpu", "l40s", "-o", "x.csv"], 1),
        (["predict"], 2),
        (["nope"], 2),
    ],
)
def test_a_process_of_its_own_ends_without_a_traceback(
    words: list[str], status: int, tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bayeslat", *words],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == status
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert not list(tmp_path.iterdir())
