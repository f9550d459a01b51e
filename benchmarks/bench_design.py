"""Which rows to measure on another GPU: error by method and number of rows, and what they cost.

Every GPU is a target in turn, with three donors without its near relatives, as in `bench_transfer`.
Each method chooses a batch from the target's configurations that were not set aside for the test,
before any of them is measured; the target is calibrated with the batch and scored against the
noise-free truth. In rounds, the target is calibrated after 5, 10 and 14 rows, and the next rows
are chosen with what those have told.

    python -m benchmarks.bench_design [--engine laplace] [--seeds 2] [--draws-of-rows 3]
        [--data FILE] [-o FILE.json]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import bayeslat as bl
from bayeslat.decisions.suggest.registry import METHODS
from bayeslat.evaluation.measured import measured_latencies
from bayeslat.evaluation.metrics import coverage, mape
from benchmarks.bench_same_gpu import noise_free
from benchmarks.bench_transfer import TEST_CONFIGS, UNRELATED
from benchmarks.common import RESULTS, data_file, machine, print_table, root, write_json

COUNTS = (5, 10, 14, 25)
BY_CHANCE = ("uniform", "latin_hypercube")
ROUNDS = "share_weighted in rounds"
BY_COST = "share_weighted, --cost latency"
MUST = {"share_weighted": {5: 2.6, 10: 2.0}, "share_weighted at 14": "uniform at 25"}


def main() -> None:
    options = _options()
    frame = pd.read_parquet(options.data)
    rows = [row for target in UNRELATED for row in score_target(frame, target, options)]
    scores = pd.DataFrame(rows)
    table = summarise(scores)
    for column in ("MAPE %", "MAPE % (worst)", "expected MAPE %", "90 % covers", "measuring s"):
        print_table(f"{column}, {options.seeds} splits", table[column].unstack("rows"))
    speed = scores.groupby("method", sort=False)["choosing_s"].median().round(3)
    print_table("Choosing 25 of 300, s (median)", speed.to_frame())
    content = {
        "machine": machine(),
        "engine": options.engine,
        "seeds": options.seeds,
        "draws_of_rows": options.draws_of_rows,
        "test_configs": TEST_CONFIGS,
        "must_reach_mape_percent": MUST,
        "summary": {
            method: table.loc[method].to_dict("index") for method in dict.fromkeys(scores["method"])
        },
        "choosing_s": speed.to_dict(),
        "scores": rows,
    }
    write_json(options.output, content)


def score_target(
    frame: pd.DataFrame, target: str, options: argparse.Namespace
) -> Iterator[dict[str, Any]]:
    """Fit the donors, and calibrate the target with the rows of each method."""
    spec = bl.load_spec(root("models/vlm.toml"))
    seen = [name for name in frame.columns if not name.startswith("true_")]
    ids = np.unique(frame["config_id"])
    for seed in range(options.seeds):
        order = np.random.default_rng(100 + seed).permutation(ids)
        pool, tested = order[TEST_CONFIGS:], order[:TEST_CONFIGS]
        trained = frame["config_id"].isin(pool) & frame["gpu"].isin(UNRELATED[target])
        posterior = bl.fit(spec, frame.loc[trained, seen], engine=options.engine, seed=seed)
        own = frame[frame["gpu"] == target]
        candidates = own[own["config_id"].isin(pool)]
        test = own[own["config_id"].isin(tested)]
        for found in score_methods(posterior, candidates[seen], test, target, options):
            yield {"target": target, "seed": seed, **found}


def score_methods(
    posterior: bl.Posterior,
    candidates: pd.DataFrame,
    test: pd.DataFrame,
    target: str,
    options: argparse.Namespace,
) -> Iterator[dict[str, Any]]:
    """Score every method at every number of rows."""
    for method in METHODS:
        for draw in range(options.draws_of_rows if method in BY_CHANCE else 1):
            began = time.perf_counter()
            batch = posterior.suggest(candidates, target, COUNTS[-1], method=method, seed=draw)
            seconds = time.perf_counter() - began
            for count in COUNTS:
                if method == "latin_hypercube":  # a smaller one is not a part of a larger one
                    batch = posterior.suggest(candidates, target, count, method=method, seed=draw)
                rows = batch.frame.head(count)
                scored = score_rows(posterior, rows, test, target)
                expected = float(batch.outlook.mape[count])
                told = {"choosing_s": seconds, "expected_mape": expected, "draw": draw}
                yield {"method": method, "rows": count, **told, **scored}
    batch = posterior.suggest(candidates, target, COUNTS[-1], cost="latency")
    for count in COUNTS:
        scored = score_rows(posterior, batch.frame.head(count), test, target)
        expected = float(batch.outlook.mape[count])
        yield {"method": BY_COST, "rows": count, "expected_mape": expected, **scored}
    yield from _score_rounds(posterior, candidates, test, target)


def _score_rounds(
    posterior: bl.Posterior, candidates: pd.DataFrame, test: pd.DataFrame, target: str
) -> Iterator[dict[str, Any]]:
    """Score rows that are chosen with what those of the rounds before have told."""
    known, rows = posterior, candidates.head(0)
    for count in COUNTS:
        batch = known.suggest(candidates, target, count - len(rows))
        rows = pd.concat([rows, batch.frame])
        known = known.calibrate(batch.frame[candidates.columns], target)
        expected = float(batch.outlook.mape[-1])
        scored = score_rows(posterior, rows, test, target)
        yield {"method": ROUNDS, "rows": count, "expected_mape": expected, **scored}


def score_rows(
    posterior: bl.Posterior, rows: pd.DataFrame, test: pd.DataFrame, target: str
) -> dict[str, float]:
    """Calibrate with some rows, and predict the test configurations."""
    entry = bl.load_hardware().resolve(target)
    seen = [name for name in test.columns if not name.startswith("true_")]
    prediction = posterior.calibrate(rows[seen], target).predict(test[seen], gpu=target).frame
    point, low, high = (prediction[f"total_{name}_ms"] for name in ("point", "q05", "q95"))
    truth = measured_latencies(posterior.spec, noise_free(test), entry)["total"]
    noisy = measured_latencies(posterior.spec, test, entry)["total"]
    spent = measured_latencies(posterior.spec, rows, entry)["total"]
    return {
        "mape": mape(point.to_numpy(), truth),
        "coverage_90": coverage(low.to_numpy(), high.to_numpy(), noisy),
        "measuring_s": float(spent.sum()) / 1e3,
    }


def summarise(scores: pd.DataFrame) -> pd.DataFrame:
    """Mean over the targets, and the worst of them, of the means over splits."""
    keys = ["method", "rows"]
    by_target = scores.groupby([*keys, "target"], sort=False).mean(numeric_only=True)
    grouped = by_target.groupby(level=keys, sort=False)
    return pd.DataFrame(
        {
            "MAPE %": 100 * grouped["mape"].mean(),
            "MAPE % (worst)": 100 * grouped["mape"].max(),
            "expected MAPE %": 100 * grouped["expected_mape"].mean(),
            "90 % covers": 100 * grouped["coverage_90"].mean(),
            "measuring s": grouped["measuring_s"].mean(),
        }
    ).round(3)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--engine", choices=("nuts", "laplace"), default="laplace")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--draws-of-rows", type=int, default=3)
    parser.add_argument("--data", type=Path, default=data_file("vlm_stages.parquet"))
    parser.add_argument("-o", "--output", type=Path, default=RESULTS / "design.json")
    return parser.parse_args()


if __name__ == "__main__":
    main()
