"""What an answer costs: fit, predict, guard and suggest by size, and beside llm-d's predictor.

Sizes are varied one at a time, on simulated rows of models/vlm.toml: candidates, draws, stages,
GPUs and rows of the fit. Then llm-d's two models and bayeslat answer for the same GPU from the same
of its rows of `vlm_stages` (bayeslat also has three other GPUs' rows, which the others cannot use):
seconds to train, microseconds a configuration in batches of 1, 100 and 10 000, and the error of
configurations that none has seen. One core, the least of several times; ratios are of one run.

    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python -m benchmarks.speed
        [--with-nuts] [--data FILE] [-o FILE.json]
"""

from __future__ import annotations

import argparse
import os
import re
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

import bayeslat as bl
from bayeslat.export import guard_reader, write_bundle
from bayeslat.features.knob_range import parse_knob
from bayeslat.features.spec import Spec
from bayeslat.inference.posteriors.thin_draws import thin_draws
from bayeslat.model.sample_configs import sample_configs
from bayeslat.posterior import Posterior
from benchmarks.bench_bundle import columns_of, least_seconds
from benchmarks.bench_drift import RANGES
from benchmarks.bench_fit_speed import FIT, run_python
from benchmarks.bench_transfer import UNRELATED
from benchmarks.common import RESULTS, data_file, machine, print_table, root, write_json
from benchmarks.draw_speed import draw_costs, draw_rivals
from benchmarks.llmd_predictor import QUANTILE, RIVALS

GPU = "l40s"
CHOSEN = 25  # configurations that `suggest` chooses
BATCHES = (1, 100, 10_000)
TRAINED = (25, 100, 300)  # rows of the GPU, a configuration each
FIRST_TOKEN = ("vision_encoder", "projector", "llm_prefill")
PER_TOKEN = "llm_decode_per_token"

# What is varied, one at a time; the others stay at the value in bold of the tables.
CANDIDATES = (100, 1000, 10_000, 30_000)
DRAWS = (64, 128, 256, 512)
STAGES = (1, 2, 3, 4)
GPUS = (2, 4, 8, 16)
ROWS = (50, 200, 800, 3200)  # of each GPU
USUAL = {"candidates": 10_000, "draws": 512, "stages": 4, "GPUs": 4, "rows": 200}


@dataclass(frozen=True)
class Setting:
    """One size of everything.

    Attributes
    ----------
    candidates, draws, stages, gpus, rows : int
        Rows are those of each GPU in the fit.
    """

    candidates: int = USUAL["candidates"]
    draws: int = USUAL["draws"]
    stages: int = USUAL["stages"]
    gpus: int = USUAL["GPUs"]
    rows: int = USUAL["rows"]


def main() -> None:
    options = _options()
    with threadpool_limits(1):
        costs = measure_costs()
        rivals = compare_rivals(options.data) if options.data.exists() else []
    content: dict[str, Any] = {
        "command": "python -m benchmarks.speed",
        "machine": machine(),
        "load_average": list(os.getloadavg()),
        "usual": USUAL,
        "costs": costs,
        "rivals": rivals,
    }
    if options.with_nuts:
        content["nuts"] = measure_nuts(options.data)
        print_table("NUTS, in a process of its own", pd.DataFrame(content["nuts"]))
    table = pd.DataFrame(costs).set_index(["varied", "size"])
    print_table("Seconds, one core", table.round(4))
    if rivals:
        shown = pd.DataFrame(rivals).set_index(["rows", "model"])
        print_table("The same rows, one core", shown.round(4))
    write_json(options.output, content)
    draw_costs(costs, USUAL, options.output.with_suffix(".png"))
    if rivals:
        draw_rivals(rivals, options.output.with_name(f"{options.output.stem}_rivals.png"))


def measure_costs() -> list[dict[str, Any]]:
    """Vary one size after the other."""
    table = bl.load_hardware()
    names = [key for key in UNRELATED if key != GPU] + list(table.gpus)
    fleet = [GPU, *(key for key in dict.fromkeys(names) if _complete(table.gpus[key]))]
    sizes = {
        "candidates": CANDIDATES,
        "draws": DRAWS,
        "stages": STAGES,
        "GPUs": GPUS,
        "rows": ROWS,
    }
    fit_fleet(fleet, Setting(rows=50))  # what is compiled, is compiled once
    rows = []
    for varied, values in sizes.items():
        for size in values:
            setting = replace(Setting(), **{varied.lower(): size})
            rows.append({"varied": varied, "size": size, **cost(fleet, setting)})
            print(rows[-1], flush=True)
    return rows


def cost(fleet: list[str], setting: Setting) -> dict[str, float]:
    """Seconds of a fit and of each answer about one GPU."""
    began = time.perf_counter()
    posterior, configs = fit_fleet(fleet, setting)
    fit_s = time.perf_counter() - began
    if setting.draws < USUAL["draws"]:
        posterior = Posterior(thin_draws(posterior.data, setting.draws))
    candidates = configs.sample(setting.candidates, replace=True, random_state=1)
    candidates = candidates.reset_index(drop=True)
    budget = float(posterior.predict(candidates.head(200), GPU).frame["total_point_ms"].median())
    guard = posterior.guard(GPU, budget)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "guard.bundle"
        write_bundle(posterior.data, bl.load_hardware().resolve(GPU), path, reader=False)
        bundle = guard_reader.load(path)
    columns = columns_of(candidates)
    answers: dict[str, Callable[[], object]] = {
        "predict_s": lambda: posterior.predict(candidates, GPU).frame,
        "guard_s": lambda: guard.decide(candidates),
        "suggest_s": lambda: posterior.suggest(candidates, GPU, CHOSEN),
        "bundle_s": lambda: bundle.decide(columns, budget),
    }
    return {"fit_s": fit_s, **{name: least_seconds(work, 3) for name, work in answers.items()}}


def fit_fleet(fleet: list[str], setting: Setting) -> tuple[Posterior, pd.DataFrame]:
    """Simulate a trace and fit it (Laplace). Returns the posterior and 4096 configurations."""
    spec = first_stages(setting.stages)
    ranges = [parse_knob(text) for text in RANGES]
    configs = sample_configs(ranges, 4096, 0)
    gpus = fleet[: setting.gpus]
    trace = bl.simulate(spec, configs.head(setting.rows), gpus, seed=0)
    return bl.fit(spec, trace, engine="laplace"), configs


def first_stages(count: int) -> Spec:
    """Return the spec with its first stages alone."""
    text = root("models/vlm.toml").read_text(encoding="utf-8")
    starts = [each.start() for each in re.finditer(r"^\[stages\.\w+\]$", text, re.MULTILINE)]
    return Spec.from_text(text[: [*starts, len(text)][count]])


def compare_rivals(data: Path) -> list[dict[str, Any]]:
    """Train each model on the same rows of one GPU, time its answers and score them."""
    frame = pd.read_parquet(data)
    frame = frame[[name for name in frame.columns if not name.startswith("true_")]]
    spec = bl.load_spec(root("models/vlm.toml"))
    donors = frame[frame["gpu"].isin(UNRELATED[GPU])]
    fitted = bl.fit(spec, donors, engine="laplace")
    own = frame[frame["gpu"] == GPU].sample(frac=1.0, random_state=0)
    tested = own.iloc[max(TRAINED) :]
    many = tested.sample(max(BATCHES), replace=True, random_state=1).reset_index(drop=True)
    rows: list[dict[str, Any]] = []
    for count in TRAINED:
        trained = own.iloc[:count]
        rows += [
            {"rows": count, "model": name, **score_rival(name, trained, tested, many, spec)}
            for name in RIVALS
        ]
        rows += score_own(fitted, trained, tested, many)
        print(pd.DataFrame(rows[-5:]).to_string(), flush=True)
    return rows


def score_rival(
    name: str, trained: pd.DataFrame, tested: pd.DataFrame, many: pd.DataFrame, spec: Spec
) -> dict[str, Any]:
    """Time and score one of llm-d's models: two of them, for the two latencies.

    Timed at the quantile that llm-d predicts; the error is that of another one of the median.
    """
    knobs = list(spec.knobs)
    known, asked = trained[knobs].to_numpy(float), tested[knobs].to_numpy(float)
    first, token = first_token_ms(trained), trained[f"t_{PER_TOKEN}_ms"].to_numpy()
    train = RIVALS[name]

    def both(quantile: float) -> tuple[Any, Any]:
        return train(known, first, quantile), train(known, token, quantile)

    train_s = least_seconds(lambda: both(QUANTILE), 3)
    high, middle = both(QUANTILE), both(0.5)
    table = many[knobs].to_numpy(float)
    speed = time_batches(lambda count: [model.predict(table[:count]) for model in high])
    points = [model.predict(asked) for model in middle]
    bounds = [model.predict(asked) for model in high]
    return {"train_s": train_s, **speed, **errors(tested, points, bounds)}


def score_own(
    fitted: Posterior, trained: pd.DataFrame, tested: pd.DataFrame, many: pd.DataFrame
) -> list[dict[str, Any]]:
    """Time and score bayeslat: calibrated with the rows, and fitted to them alone."""
    spec, count = fitted.spec, len(trained)
    ways: dict[str, Callable[[], Posterior]] = {
        "bayeslat, calibrated": lambda: fitted.calibrate(trained, GPU),
        "bayeslat, these rows alone": lambda: bl.fit(spec, trained, engine="laplace"),
    }
    rows = []
    for name, make in ways.items():
        train_s = least_seconds(make, 2)
        posterior = make()
        speed = time_batches(partial(_predict, posterior, many))
        prediction = posterior.predict(tested, GPU)
        first = np.sum([prediction.draws(stage) for stage in FIRST_TOKEN], axis=0)
        points = [
            np.sum([prediction.frame[f"{stage}_q50_ms"] for stage in FIRST_TOKEN], axis=0),
            prediction.frame[f"{PER_TOKEN}_q50_ms"].to_numpy(),
        ]
        bounds = [
            np.quantile(draws, QUANTILE, axis=1) for draws in (first, prediction.draws(PER_TOKEN))
        ]
        scores = errors(tested, points, bounds)
        rows.append({"rows": count, "model": name, "train_s": train_s, **speed, **scores})
        if name == "bayeslat, calibrated":
            timed = time_bundle(posterior, many)
            rows.append({"rows": count, "model": "its guard bundle", **timed})
    return rows


def _predict(posterior: Posterior, many: pd.DataFrame, count: int) -> pd.DataFrame:
    return posterior.predict(many.head(count), GPU).frame


def time_bundle(posterior: Posterior, many: pd.DataFrame) -> dict[str, float]:
    """Time p_exceed and the decision about one budget, by the bundle."""
    budget = float(posterior.predict(many.head(200), GPU).frame["total_point_ms"].median())
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "guard.bundle"
        began = time.perf_counter()
        write_bundle(posterior.data, bl.load_hardware().resolve(GPU), path, reader=False)
        made_s = time.perf_counter() - began
        bundle = guard_reader.load(path)
    knobs = many[list(posterior.spec.knobs)]
    one = {str(name): value for name, value in knobs.to_dict("records")[0].items()}
    tables = {count: columns_of(knobs.head(count)) for count in BATCHES}

    def decide(count: int) -> object:
        return (
            bundle.decide_one(one, budget) if count == 1 else bundle.decide(tables[count], budget)
        )

    return {"train_s": made_s, **time_batches(decide)}


def time_batches(answer: Callable[[int], object]) -> dict[str, float]:
    """Microseconds a configuration, in batches of each size."""
    return {
        f"us_of_{count}": 1e6
        * least_seconds(partial(answer, count), 20 if count < 1000 else 5)
        / count
        for count in BATCHES
    }


def errors(
    tested: pd.DataFrame, points: list[NDArray[np.float64]], bounds: list[NDArray[np.float64]]
) -> dict[str, float]:
    """MAPE of medians, and how many measurements are within the 0.9 quantile, in percent."""
    measured = [first_token_ms(tested), tested[f"t_{PER_TOKEN}_ms"].to_numpy()]
    found = {}
    for name, ms, point, bound in zip(
        ("first token", "per token"), measured, points, bounds, strict=True
    ):
        found[f"MAPE {name} %"] = 100 * float(np.mean(np.abs(point / ms - 1.0)))
        found[f"within q90 {name} %"] = 100 * float(np.mean(ms <= bound))
    return found


def first_token_ms(rows: pd.DataFrame) -> NDArray[np.float64]:
    """Time to the first token: the stages before it. Shape (row,)."""
    columns = [f"t_{stage}_ms" for stage in FIRST_TOKEN]
    return np.asarray(rows[columns].sum(axis=1), dtype=float)


def measure_nuts(data: Path) -> list[dict[str, Any]]:
    """Fit six GPUs with NUTS, and with ten times the rows."""
    return [{"copies": copies, **run_python(FIT, data, copies, "nuts")} for copies in (1, 10)]


def _complete(gpu: Any) -> bool:
    """Tell whether a data sheet has what the spec needs, and no relation to a CPU."""
    fields = gpu.fields()
    return all(name in fields for name in ("mem_bw_GBps", "bf16_tflops", "boost_GHz", "l2_MB"))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--with-nuts", action="store_true", help="fits in processes of their own")
    parser.add_argument("--data", type=Path, default=data_file("vlm_stages.parquet"))
    parser.add_argument("-o", "--output", type=Path, default=RESULTS / "speed.json")
    return parser.parse_args()


if __name__ == "__main__":
    main()
