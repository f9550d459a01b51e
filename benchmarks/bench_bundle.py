"""The guard bundle beside the posterior that it is of: agreement, and how fast both decide.

Bundles of GPUs that three others' traces tell about, or one's (`vlm_stages`, without own rows, and
for two of them with ten), and of a device of the shipped traces without rows and with ten of its
configurations. Configurations are those of the traces, prompts and outputs of any length between;
budgets are quantiles of the predicted totals. One core; ratios are within one run.

    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python -m benchmarks.bench_bundle
        [--configs 1000000] [--data FILE] [-o FILE.json]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

import bayeslat as bl
from bayeslat.export import guard_reader, write_bundle
from benchmarks.bench_transfer import UNRELATED
from benchmarks.common import RESULTS, data_file, machine, print_table, root, write_json

MUST = {"load_ms": 100, "one_us": 50, "configs_per_s": 1_000_000, "p_exceed": 0.005}
QUANTILES = (0.3, 0.5, 0.7)  # of the budgets that are timed
COMPARED_QUANTILES = (0.05, 0.2, 0.35, 0.5, 0.65, 0.8, 0.95)
ROWS = 10  # calibration configurations
COMPARED = 2000  # configurations that the posterior decides about too
ONE_BY_ONE = 300
ROUNDS = 20  # over these
DONORS = ("milan_1t_fp32", "milan_1t_bf16", "milan_2t_fp32")
DEVICE, GPU = "milan_2t_bf16", "l40s"
OTHERS = ("h100_sxm", "b200_sxm", "a100_sxm")
CALIBRATED = (GPU, "h100_sxm")
ONE_DONOR = "a100_sxm"


def main() -> None:
    options = _options()
    with threadpool_limits(1):
        rows = [
            {"bundle": name, **score(posterior, gpu, configs, options.configs)}
            for name, posterior, gpu, configs in _cases(options.data)
        ]
    table = pd.DataFrame(rows).set_index("bundle")
    print_table("The guard bundle", table.T)
    content = {
        "command": f"python -m benchmarks.bench_bundle --configs {options.configs}",
        "machine": machine(),
        "numpy": np.__version__,
        "must": MUST,
        "budget_quantiles": QUANTILES,
        "compared_quantiles": COMPARED_QUANTILES,
        "bundles": rows,
    }
    write_json(options.output, content)


def _cases(data: Path) -> Iterator[tuple[str, bl.Posterior, str, pd.DataFrame]]:
    """Name each posterior, with its GPU and the configurations of its traces."""
    frame = pd.read_parquet(data)
    seen = [name for name in frame.columns if not name.startswith("true_")]
    spec = bl.load_spec(root("models/vlm.toml"))
    for gpu in (GPU, *OTHERS):
        trained = frame.loc[frame["gpu"].isin(UNRELATED[gpu]), seen]
        fitted = bl.fit(spec, trained, engine="laplace")
        yield f"vlm on {gpu}, no rows", fitted, gpu, trained
        if gpu in CALIBRATED:
            own = frame.loc[frame["gpu"] == gpu, seen]
            yield f"vlm on {gpu}, 10 rows", fitted.calibrate(_some(own), gpu), gpu, trained
    trained = frame.loc[frame["gpu"] == ONE_DONOR, seen]
    fitted = bl.fit(spec, trained, engine="laplace")
    yield f"vlm on {GPU}, one donor, no rows", fitted, GPU, trained
    donors = bl.read_traces([root(f"traces/{name}.parquet") for name in DONORS])
    device = bl.read_traces([root(f"traces/{DEVICE}.parquet")])
    fitted = bl.fit(bl.load_spec(root("models/tiny_vlm.toml")), donors, engine="laplace")
    yield "tiny_vlm, no rows", fitted, DEVICE, device
    yield "tiny_vlm, 10 rows", fitted.calibrate(_some(device), DEVICE), DEVICE, device


def _some(rows: pd.DataFrame) -> pd.DataFrame:
    """Take the rows of some configurations."""
    ids = np.unique(rows["config_id"])
    chosen = np.random.default_rng(0).choice(ids, ROWS, replace=False)
    return rows[rows["config_id"].isin(chosen)]


def score(posterior: bl.Posterior, gpu: str, rows: pd.DataFrame, count: int) -> dict[str, Any]:
    """Compare the bundle of a GPU with its posterior, and time both."""
    knobs = list(posterior.spec.knobs)
    configs = _draw(rows[knobs], COMPARED)
    prediction = posterior.predict(configs, gpu).frame
    points = prediction["total_point_ms"]
    budgets = [float(points.quantile(each)) for each in QUANTILES]
    compared = [float(points.quantile(each)) for each in COMPARED_QUANTILES]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "guard.bundle"
        made = write_bundle(posterior.data, bl.load_hardware().resolve(gpu), path, reader=False)
        load_s = least_seconds(lambda: guard_reader.load(path))
        size = path.stat().st_size
        bundle = guard_reader.load(path)
    found = compare(posterior, bundle, gpu, configs, compared)
    many = columns_of(_draw(rows[knobs], count))
    each_s = [least_seconds(partial(bundle.decide, many, budget), 3) for budget in budgets]
    one_s = time_one_by_one(bundle, configs.head(ONE_BY_ONE), budgets)
    guard = posterior.guard(gpu, budgets[1])
    guard_s = least_seconds(lambda: guard.decide(configs), 3)
    speed = len(next(iter(many.values()))) / float(np.mean(each_s))
    return {
        "kB": round(size / 1000, 1),
        "load_ms": round(1e3 * load_s, 2),
        "one_us": round(1e6 * float(np.median(one_s)), 1),
        "one_us_99": round(1e6 * float(np.quantile(one_s, 0.99)), 1),
        "configs_per_s": round(speed),
        "times_the_posterior": round(speed * guard_s / COMPARED, 1),
        **found,
        "at_export": made.header["agreement"],
    }


def compare(
    posterior: bl.Posterior,
    bundle: guard_reader.GuardBundle,
    gpu: str,
    configs: pd.DataFrame,
    budgets: list[float],
) -> dict[str, float]:
    """Return how far p_exceed differs, and how many decisions are the same."""
    differences, same = [], []
    for budget in budgets:
        expected = posterior.guard(gpu, budget).decide(configs)
        decisions, p_exceed = bundle.decide(columns_of(configs), budget)
        differences.append(np.abs(p_exceed - expected["p_exceed"].to_numpy()))
        same.append(decisions == expected["decision"].to_numpy())
    return {
        "p_exceed": round(float(np.max(differences)), 5),
        "p_exceed_99": round(float(np.quantile(differences, 0.99)), 5),
        "decisions": round(float(np.mean(same)), 5),
    }


def time_one_by_one(
    bundle: guard_reader.GuardBundle, configs: pd.DataFrame, budgets: list[float]
) -> NDArray[np.float64]:
    """Return the seconds of each decision about a single configuration.

    The least of several rounds over all, since a shared machine may be slow for seconds.
    """
    records = [
        {str(name): value for name, value in config.items()}
        for config in configs.to_dict("records")
    ]
    rounds = [
        [
            least_seconds(partial(bundle.decide_one, knobs, budget), 2)
            for knobs in records
            for budget in budgets
        ]
        for _ in range(ROUNDS)
    ]
    return np.min(rounds, axis=0)


def _draw(rows: pd.DataFrame, count: int) -> pd.DataFrame:
    """Draw configurations: those of some rows, with other lengths of prompts and outputs."""
    rng = np.random.default_rng(1)
    drawn = rows.iloc[rng.integers(len(rows), size=count)].reset_index(drop=True)
    for knob in ("prompt_tokens", "output_tokens"):
        drawn[knob] = rng.integers(rows[knob].min(), rows[knob].max(), count, endpoint=True)
    return drawn


def columns_of(configs: pd.DataFrame) -> dict[str, Any]:
    return {str(name): configs[name].to_numpy() for name in configs}


def least_seconds(work: Callable[[], object], repeats: int = 20) -> float:
    """Return the least of some times: what others do on the machine only adds."""
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return min(times)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--configs", type=int, default=1_000_000)
    parser.add_argument("--data", type=Path, default=data_file("vlm_stages.parquet"))
    parser.add_argument("-o", "--output", type=Path, default=RESULTS / "bundle.json")
    return parser.parse_args()


if __name__ == "__main__":
    main()
