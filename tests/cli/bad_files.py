"""Malformed traces, specs, hardware files and posteriors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from tests.cli.cases import (
    Case,
    at_row,
    broken_posterior,
    changed,
    check_with,
    fit_frame,
    fit_hardware,
    fit_option,
    fit_spec,
    fit_text,
    predict_with,
)
from tests.cli.conftest import Workshop
from tests.posteriors import make_configs, make_frame

LATENCY_RULE = ("column 't_decode_ms'", "finite and above 0", "measure it again")
KNOB_RULE = ("column 'context'", "must be a finite number", "fill it in")


def other_netcdf(w: Workshop) -> list[str]:
    path = w.folder / "other.nc"
    xr.Dataset({"x": ("y", [1.0])}).to_netcdf(path, engine="h5netcdf")
    return [str(path), w.configs(), "--gpu", "a100_sxm"]


def broken_parquet(w: Workshop) -> list[str]:
    path = Path(w.trace())
    path.write_bytes(path.read_bytes()[:-50])
    return [str(path), "--model", w.spec]


def latin_csv(w: Workshop) -> list[str]:
    (w.folder / "t.csv").write_bytes("gpu,note\nl40s,größer\n".encode("latin-1"))
    return [str(w.folder / "t.csv"), "--model", w.spec]


def latin_spec(w: Workshop) -> list[str]:
    (w.folder / "bad.toml").write_bytes('name = "größer"'.encode("latin-1"))
    return [w.trace(), "--model", str(w.folder / "bad.toml")]


def empty_folder(w: Workshop) -> list[str]:
    (w.folder / "nothing").mkdir()
    return [str(w.folder / "nothing"), "--model", w.spec]


TRACES = [
    fit_frame(
        "unknown GPU",
        lambda: changed(gpu="h1000"),
        "'h1000'",
        "nearest: h100",
        "--hardware",
        "boost_GHz",
    ),
    fit_frame(
        "no GPU column",
        lambda: make_frame().drop(columns="gpu"),
        "column 'gpu'",
        "is required",
        "add it",
    ),
    fit_frame("missing GPU", lambda: at_row("gpu", None), "row 4", "column 'gpu'", "fill in"),
    fit_frame(
        "missing knob", lambda: make_frame().drop(columns="context"), "'context'", "add the column"
    ),
    fit_frame(
        "two missing knobs",
        lambda: make_frame().drop(columns=["context", "batch_size"]),
        "'context'",
        "'batch_size'",
        "add the column",
    ),
    fit_frame(
        "a knob and a stage of other names",
        lambda: make_frame().rename(columns={"batch_size": "batchsize", "t_decode_ms": "seconds"}),
        "column 'batch_size': knob 'batch_size' of spec 'small' is missing; rename column "
        "'batchsize', if that is meant, or add the column",
        "stage 'decode': the traces have no column 't_decode_ms'",
    ),
    fit_frame(
        "text in a knob", lambda: at_row("context", "long"), *KNOB_RULE, "'long'", file="trace.csv"
    ),
    fit_frame("NaN in a knob", lambda: changed(context=np.nan), *KNOB_RULE),
    fit_frame("infinite knob", lambda: changed(context=np.inf), *KNOB_RULE),
    fit_frame("truth values in a knob", lambda: changed(context=True), *KNOB_RULE, "True"),
    fit_frame("digits in a knob", lambda: changed(context="128"), *KNOB_RULE, "'128'"),
    fit_frame(
        "a knob that physics cannot take",
        lambda: at_row("context", 0).astype({"context": int}).assign(t_decode_ms=-1.0),
        "row 4, column 'context': feature 'log(context)' of stage prefill must be finite",
        *LATENCY_RULE,
    ),
    fit_frame(
        "a stage that runs less than never",
        lambda: at_row("output_tokens", -1).astype({"output_tokens": int}),
        "row 4, column 'output_tokens'",
        "times 'output_tokens' of stage decode must be finite and not negative",
        "correct the knobs",
    ),
    fit_frame(
        "one config under two names of a GPU",
        lambda: pd.concat([make_frame(), make_frame().head(1).assign(gpu="A100-SXM4-80GB")]),
        "row 121: the same gpu, stack, task and config_id",
        "number the repeats",
    ),
    fit_frame(
        "a GPU that lacks a peak",
        lambda: changed(gpu="t4"),
        "column 'gpu': GPU 't4' has no bf16_tflops",
        "[gpus.t4]\nbf16_tflops = 0",
    ),
    fit_frame(
        "zero latency",
        lambda: at_row("t_decode_ms", 0.0).astype({"t_decode_ms": float}),
        "row 4",
        *LATENCY_RULE,
    ),
    fit_frame("negative latency", lambda: changed(t_decode_ms=-1.0), *LATENCY_RULE),
    fit_frame("infinite latency", lambda: changed(t_decode_ms=np.inf), *LATENCY_RULE),
    fit_frame(
        "text as latency",
        lambda: at_row("t_decode_ms", "fast"),
        "row 4, column 't_decode_ms'",
        "write the bare number",
        "'fast'",
        file="trace.csv",
    ),
    fit_frame(
        "latency in seconds",
        lambda: changed(t_prefill_ms=make_frame()["t_prefill_ms"] / 1e3),
        "column 't_prefill_ms'",
        "seconds, not ms",
        "Give milliseconds",
    ),
    fit_frame(
        "latency in nanoseconds",
        lambda: changed(t_prefill_ms=make_frame()["t_prefill_ms"] * 1e6),
        "column 't_prefill_ms'",
        "hundreds of times slower",
        "Give milliseconds",
    ),
    fit_frame(
        "no stage",
        lambda: make_frame().drop(columns=["t_prefill_ms", "t_decode_ms"]),
        "no latency column t_prefill_ms, t_decode_ms",
        "add one for each measured stage",
    ),
    Case(
        "nothing measured",
        lambda w: [w.trace(changed(t_decode_ms=np.nan)), "--model", w.spec],
        ("stage 'decode'", "'t_decode_ms'", "Measure the stage"),
    ),
    Case(
        "a stage without its column",
        lambda w: [w.trace(make_frame().drop(columns="t_decode_ms")), "--model", w.spec],
        ("stage 'decode'", "'t_decode_ms'", "Measure the stage"),
    ),
    fit_frame(
        "twice the same config",
        lambda: make_frame().assign(config_id=0).drop(columns="repeat"),
        "the same gpu, stack, task and config_id",
        "number the repeats",
    ),
    fit_frame("no rows", lambda: make_frame().head(0), "no rows", "give one row"),
    fit_text("empty file", "t.csv", "", "is empty", "header row"),
    fit_text("ragged CSV", "t.csv", "gpu,context\nl40s,1\nl40s,2,3\n", "row 2", "add the missing"),
    fit_text("broken JSON Lines", "t.jsonl", '{"gpu": "l40s"}\n{"gpu":\n', "row 2", "correct"),
    fit_text("unknown suffix", "t.xlsx", "gpu", "unknown suffix '.xlsx'", ".parquet"),
    Case("CSV in another encoding", latin_csv, ("t.csv", "is not UTF-8", "save the file")),
    Case("cut Parquet", broken_parquet, ("trace.parquet", "cannot be read", "copy it again")),
    Case(
        "missing file",
        lambda w: ["nowhere.csv", "--model", w.spec],
        ("nowhere.csv", "no such file", "check the path"),
    ),
    Case("empty folder", empty_folder, ("nothing", "holds no table", ".parquet")),
    Case(
        "glob without match",
        lambda w: [str(w.folder / "*.pq"), "--model", w.spec],
        ("*.pq", "no table matches"),
    ),
]

SPECS = [
    fit_spec("not TOML", "[stages.decode]", "[stages.decode", "not TOML", "line 17", "correct"),
    fit_spec("no name", 'name = "small"', "", "name", "is missing or empty", "add name"),
    fit_spec(
        "unknown key", 'name = "small"', 'name = "small"\ncolour = 1', "colour", "unknown key"
    ),
    fit_spec("unknown name", "context * weights", "contxt * weights", "'contxt'", "'context'"),
    fit_spec("attribute", "context * weights", "context.real * weights", "compute", ".real", "use"),
    fit_spec("call", "context * weights", "open(context) * weights", "no function 'open'", "log"),
    fit_spec("dunder", "context * weights", "__import__ * weights", "'__import__'", "correct it"),
    fit_spec("half an expression", "context * weights", "context *", "compute", "invalid syntax"),
    fit_spec("degree 9", "degree = 2", "degree = 9", "degree", "less than or equal to 4", "is 9"),
    fit_spec(
        "text as constant", "1e9", '"many"', "architecture.weights", "finite number", "'many'"
    ),
    fit_spec(
        "mixed kinds",
        'launch = "2.0"',
        'launch = "1 / (bf16_tflops * mem_bw_GBps)"',
        "launch",
        "kind cannot be inferred",
        "write {",
    ),
    Case(
        "missing spec",
        lambda w: [w.trace(), "--model", "nowhere.toml"],
        ("nowhere.toml", "No such file", "give the path of a spec"),
    ),
    Case(
        "spec is a folder",
        lambda w: [w.trace(), "--model", str(w.folder)],
        ("Is a directory", "give the path of a spec"),
    ),
    Case("spec in another encoding", latin_spec, ("bad.toml", "not UTF-8 text")),
]

HARDWARE = [
    fit_hardware("no bandwidth", "mem_bw_GBps = 1000\n", "", "[gpus.mine]", "mem_bw_GBps", "add"),
    fit_hardware("negative bandwidth", "= 1000", "= -1000", "mem_bw_GBps = -1000", "positive"),
    fit_hardware("clock in MHz", "= 1.5", "= 1500", "boost_GHz = 1500", "1980 MHz is 1.98"),
    fit_hardware("no peak", "bf16_tflops = 100\n", "", "has no peak", "add at least one"),
    fit_hardware("unknown field", "l2_MB = 10", "l2_MB = 10\nfans = 2", "'fans'", "known: "),
    fit_hardware("hardware not TOML", "[gpus.mine]", "[gpus.mine", "is not valid TOML", "write"),
    fit_option(
        "missing hardware file",
        "--hardware",
        "nowhere.toml",
        told=("nowhere.toml", "cannot be read", "give the path"),
        status=1,
    ),
]

POSTERIORS = [
    broken_posterior("cut short", lambda content: content[:-1000], "cut short", "fit again"),
    broken_posterior("seal lost", lambda content: content[:-10], "cut short", "fit again"),
    broken_posterior("empty posterior", lambda _: b"", "is empty", "name a file"),
    broken_posterior("text", lambda _: b"not a posterior", "not a NetCDF file", "name a file"),
    broken_posterior(
        "flipped", lambda c: c[:5000] + bytes([c[5000] ^ 1]) + c[5001:], "damaged", "copy it again"
    ),
    predict_with("other NetCDF", other_netcdf, "other.nc", "no posterior", "name a file"),
    predict_with(
        "missing posterior",
        lambda w: ["no.nc", w.configs(), "--gpu", "l40s"],
        "no.nc",
        "no such file",
        "makes one",
    ),
    predict_with(
        "posterior is a folder",
        lambda w: [str(w.folder), w.configs(), "--gpu", "l40s"],
        "is a folder",
        "name the .nc file",
    ),
    check_with("posterior is a trace", lambda w: [w.trace()], "trace.parquet", "not a NetCDF file"),
    check_with(
        "traces to check are missing",
        lambda w: [w.posterior, "nowhere.csv"],
        "nowhere.csv",
        "no such file",
    ),
    check_with(
        "traces to check lack a knob",
        lambda w: [w.posterior, w.trace(make_frame().drop(columns="context"))],
        "'context'",
        "add the column",
    ),
    check_with(
        "traces to check have no latency",
        lambda w: [w.posterior, w.trace(make_configs(3).assign(gpu="l40s"))],
        "no latency column",
        "add one",
    ),
    check_with(
        "traces to check are of an unknown GPU",
        lambda w: [w.posterior, w.trace(make_frame().assign(gpu="h1000"))],
        "'h1000'",
        "--hardware FILE",
    ),
]
