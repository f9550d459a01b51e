"""Options with impossible values, and configurations that cannot be predicted or simulated."""

from __future__ import annotations

from tests.cli.cases import (
    fit_option,
    predict_option,
    predict_with,
    simulate_parameters,
    simulate_with,
)
from tests.posteriors import make_configs

POSITIVE = ("--budget-ms is", "must be a positive number")
EMPTY_NAME = ("a name is empty", "write names as in a,b,c")
NO_CONTEXT = make_configs(3).drop(columns="context")
HOLE = make_configs(3).assign(context=[1.0, float("nan"), 2.0])
NEGATIVE = make_configs(3).assign(output_tokens=[1, 2, -500])
NO_BATCH = make_configs(3).assign(batch_size=[1, -9_000_000, 2], context=[1, 100, 0])

OPTIONS = [
    fit_option("unknown engine", "--engine", "gibbs", told=("--engine", "'gibbs'", "'nuts'")),
    fit_option("too few draws", "--draws", "1", told=("--draws", "greater than or equal to 10")),
    fit_option("draws in words", "--draws", "many", told=("--draws", "valid integer")),
    fit_option("too little tuning", "--tune", "1", told=("--tune", "greater than or equal to 50")),
    fit_option("negative seed", "--seed", "-1", told=("--seed", "greater than or equal to 0")),
    fit_option("endless seed", "--seed", "9" * 30, told=("--seed", "less than or equal to")),
    fit_option("no chains", "--chains", "0", told=("--chains", "greater than or equal to 1")),
    fit_option("unknown option", "--fast", told=("No such option: --fast",)),
    fit_option(
        "unknown GPU to fit",
        "--gpus",
        "h1000",
        told=("'h1000' is not in the hardware table", "nearest", "--hardware FILE"),
        status=1,
    ),
    fit_option(
        "GPU without rows",
        "--gpus",
        "l40s",
        told=("no rows of GPU l40s", "a100_sxm", "Choose among those"),
        status=1,
    ),
    fit_option("no name of a GPU", "--gpus", "", told=("--gpus ''", *EMPTY_NAME), status=1),
    fit_option(
        "unknown stage to fit",
        "--stages",
        "decode,wait",
        told=("has no stage 'wait'", "choose of prefill, decode"),
        status=1,
    ),
    fit_option("no name of a stage", "--stages", "", told=("--stages ''", *EMPTY_NAME), status=1),
    fit_option(
        "empty name of a GPU",
        "--gpus",
        "a100_sxm,,h100_sxm",
        told=("--gpus 'a100_sxm,,h100_sxm'", *EMPTY_NAME),
        status=1,
    ),
    fit_option(
        "no address of a cluster",
        "--engine-address",
        "10.0.0.7:8786",
        told=("engine address is '10.0.0.7:8786'", "as in tcp://10.0.0.7:8786"),
        status=1,
    ),
    fit_option(
        "no cluster at the address",
        "--engine-address",
        "tcp://127.0.0.1:9",
        told=("no Dask scheduler answers at tcp://127.0.0.1:9", "correct the engine address"),
        status=1,
    ),
    predict_option("zero budget", "--budget-ms", "0", told=POSITIVE),
    predict_option("negative budget", "--budget-ms", "-5", told=POSITIVE),
    predict_option("NaN budget", "--budget-ms", "nan", told=POSITIVE),
    predict_option("endless budget", "--budget-ms", "inf", told=POSITIVE),
    predict_option(
        "budget in words", "--budget-ms", "fast", told=("--budget-ms", "valid number"), status=2
    ),
    predict_option("no name of a stack", "--stack", " ", told=("--stack ' '", "leave --stack out")),
    predict_option("unknown meaning", "--of", "mean", told=("--of", "'typical'"), status=2),
    predict_with(
        "unknown GPU to predict",
        lambda w: [w.posterior, w.configs(), "--gpu", "h1000"],
        "'h1000' is not in the hardware table",
        "nearest",
        "mem_bw_GBps = 0",
    ),
    predict_with(
        "no GPU", lambda w: [w.posterior, w.configs()], "Missing option '--gpu'", status=2
    ),
    predict_with(
        "no configurations", lambda w: [w.posterior, "--gpu", "l40s"], "'CONFIGS'", status=2
    ),
    predict_with(
        "configs without a knob",
        lambda w: [w.posterior, w.configs(NO_CONTEXT), "--gpu", "l40s"],
        "configs.parquet, column 'context'",
        "knob 'context' of spec 'small' is missing",
        "add the column",
    ),
    predict_with(
        "configs with a hole",
        lambda w: [w.posterior, w.configs(HOLE), "--gpu", "l40s"],
        "configs.parquet row 2, column 'context'",
        "must be a finite number",
        "fill it in",
    ),
    predict_with(
        "configs that run a stage less than never",
        lambda w: [w.posterior, w.configs(NEGATIVE), "--gpu", "l40s"],
        "configs.parquet row 3, column 'output_tokens'",
        "times 'output_tokens' of stage decode must be finite and not negative",
        "correct the knobs",
        "(found -500)",
    ),
    predict_with(
        "configs that physics cannot take",
        lambda w: [w.posterior, w.configs(NO_BATCH), "--gpu", "l40s"],
        "configs.parquet row 2: physics 'compute' of stage prefill must be finite and not neg",
        "row 3, column 'context': feature 'log(context)' of stage prefill must be finite",
        "(found batch_size -9e+06, context 100)",
    ),
    predict_with(
        "configs with digits for numbers",
        lambda w: [w.posterior, w.configs(make_configs(3).astype(str)), "--gpu", "l40s"],
        "configs.parquet rows 1-3, column 'batch_size'",
        "configs.parquet rows 1-3, column 'context'",
        "not text or a truth value",
    ),
    predict_with(
        "a GPU to predict that lacks a peak",
        lambda w: [w.posterior, w.configs(), "--gpu", "t4"],
        "GPU 't4' has no bf16_tflops",
        "[gpus.t4]\nbf16_tflops = 0",
        "--hardware FILE",
    ),
    predict_with(
        "configs without rows",
        lambda w: [w.posterior, w.configs(make_configs(3).head(0)), "--gpu", "l40s"],
        "configs.parquet",
        "no rows",
        "give one row",
    ),
    predict_with(
        "one of two files missing",
        lambda w: [w.posterior, w.configs(), "nowhere.csv", "--gpu", "l40s"],
        "nowhere.csv",
        "no such file",
    ),
    simulate_with("no configs", "--gpus", "l40s", told=("--configs FILE", "-n N", "--knob")),
    simulate_with(
        "both configs and a count",
        *("--gpus", "l40s", "--configs", "c.csv", "-n", "3"),
        told=("give either --configs FILE, or -n N",),
    ),
    simulate_with(
        "no ranges",
        *("--gpus", "l40s", "-n", "3"),
        told=("no range of knob batch_size, context, output_tokens", "add --knob"),
    ),
    simulate_with(
        "unknown knob",
        *("--gpus", "l40s", "-n", "3", "--knob", "contxt=1:9"),
        told=("no range of knob batch_size, context", "has no knob contxt", "take it out"),
    ),
    simulate_with(
        "bad range",
        *("--gpus", "l40s", "-n", "3", "--knob", "context=9:1"),
        told=("'context=9:1'", "low end must be below the high end"),
    ),
    simulate_with(
        "a range below zero",
        *("--gpus", "l40s", "-n", "3", "--knob", "context=1:9", "--knob", "batch_size=1:9"),
        *("--knob", "output_tokens=-9:-1"),
        told=("rows 1-3, column 'output_tokens'", "times 'output_tokens' of stage decode"),
    ),
    simulate_with("no count", "--gpus", "l40s", "-n", "0", told=("-n", "equal to 1"), status=2),
    simulate_with(
        "unknown GPU to simulate",
        *("--gpus", "h1000", "-n", "3", "--knob", "context=1:9"),
        *("--knob", "batch_size=1:9", "--knob", "output_tokens=1:9"),
        told=("'h1000' is not in the hardware table", "--hardware FILE"),
    ),
    simulate_with(
        "empty name of a stack",
        *("--gpus", "l40s", "--stacks", "v1,,v2", "-n", "3"),
        told=("--stacks 'v1,,v2'", *EMPTY_NAME),
    ),
    simulate_with(
        "missing parameters",
        *("--gpus", "l40s", "-n", "3", "--knob", "context=1:9"),
        *("--knob", "batch_size=1:9", "--knob", "output_tokens=1:9"),
        *("--parameters", "nowhere.json"),
        told=("nowhere.json", "cannot be read", "name a file"),
    ),
    simulate_parameters(
        "parameters of another spec",
        b'{"stages": {}}',
        "simulation parameters",
        "stage prefill, decode is missing",
    ),
    simulate_parameters("parameters that are no JSON", b"{", "true.json", "Invalid JSON"),
    simulate_parameters("parameters that are no text", b"\xff\xfe", "true.json", "is not UTF-8"),
]
