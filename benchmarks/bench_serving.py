"""Whole servers on another GPU from few of its rows: time to first token, time per output token.

Each GPU of `silicon_serving` is the target in turn, with the two others as donors. Some of the
target's configurations are tested, the first few of the others calibrate. Ridge and boosted trees
learn from the target's rows alone.

No method can be better than what the data do not say: servers run with and without speculative
decoding and with several sizes of prefill chunks, and no column tells. Two floors show it: rows
that differ in nothing but the software's version, and trees that know every column, trained on
nine tenths of the target's rows.

    python -m benchmarks.bench_serving [--splits 10] [--counts 0,5,10,25,50,100,200]
        [--targets A,B] [--data FILE] [-o FILE.json]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

import bayeslat as bl
from bayeslat.evaluation.baselines import Donors
from bayeslat.evaluation.comparison.hierarchical import find_method
from bayeslat.evaluation.holdout import Holdout, hold_out
from bayeslat.evaluation.metrics import coverage
from benchmarks.common import RESULTS, data_file, machine, print_table, root, write_json
from benchmarks.serving_rows import prepare, same_but_version
from benchmarks.serving_trees import trees_left_out

ASKED = {"target": "h200_sxm", "rows": 25, "median APE % at most": {"tpot": 10.0, "ttft": 25.0}}
STAGES = ("tpot", "ttft")
BASELINES = {"ridge": (25, 200), "boosted_trees": (25, 200)}
TEST_CONFIGS = 100
OURS = "hierarchical"
LEVELS = ("q05", "q50", "point", "q95")


def main() -> None:
    options = _options()
    raw = pd.read_parquet(options.data)
    trace, left_out = prepare(raw)
    print(f"{len(trace)} rows; left out: {left_out}")
    rows: list[dict[str, Any]] = []
    fit_s = {}
    for target in options.targets:
        began = time.perf_counter()
        posterior = fit_donors(trace, target)
        fit_s[target] = round(time.perf_counter() - began, 1)
        for split in range(options.splits):
            rows += score_split(trace, posterior, target, split, options.counts)
    scores = pd.DataFrame(rows)
    floors = {target: floor(raw, target) for target in options.targets}
    pairs = same_but_version(raw)
    table = summarise(scores)
    for target in options.targets:
        print_table(f"{target}, {options.splits} splits", table.loc[target].unstack("stage"))
    print_table("Trees with every column, 9 of 10 rows: APE %", pd.DataFrame(floors).T)
    print_table("Rows alike but for the version: |ratio - 1| %", pd.DataFrame(pairs).T)
    content = {
        "machine": machine(),
        "asked": ASKED,
        "splits": options.splits,
        "test_configs": TEST_CONFIGS,
        "left_out": left_out,
        "fit_s": fit_s,
        "summary": table.reset_index().to_dict("records"),
        "floor_trees": floors,
        "floor_versions": pairs,
        "scores": rows,
    }
    write_json(options.output, content)


def fit_donors(trace: pd.DataFrame, target: str) -> bl.Posterior:
    """Fit every GPU but the target."""
    spec = bl.load_spec(root("models/serving.toml"))
    return bl.fit(spec, trace[trace["gpu"] != target], engine="laplace", seed=0)


def score_split(
    trace: pd.DataFrame, posterior: bl.Posterior, target: str, split: int, counts: tuple[int, ...]
) -> Iterator[dict[str, Any]]:
    """Calibrate with more and more rows of one pool; score on the same configurations."""
    spec, table = posterior.spec, bl.load_hardware()
    gpu = table.resolve(target)
    held = hold_out(spec, trace[trace["gpu"] == target], gpu, TEST_CONFIGS, [7, split])
    about = {"target": target, "split": split}
    for count in counts:
        known = posterior.calibrate(held.pool[:count], target) if count else posterior
        frame = known.predict(held.test, gpu=target).frame
        for stage in STAGES:
            named = {name: frame[f"{stage}_{name}_ms"].to_numpy() for name in LEVELS}
            yield {
                **about,
                "method": OURS,
                "rows": count,
                "stage": stage,
                **_errors(named["q50"], held, stage),
                "median_ape_of_point": _errors(named["point"], held, stage)["median_ape"],
                "coverage_90": coverage(named["q05"], named["q95"], held.run_ms[stage]),
            }
    donors = Donors(spec, trace[trace["gpu"] != target], _first_donor(trace, target), table, split)
    for name, sizes in BASELINES.items():
        trained = find_method(name, "laplace").train(donors)
        for count in sizes:
            estimate = trained.calibrate(held.pool[:count], gpu).predict(held.test)
            for stage in STAGES:
                errors = _errors(estimate.stages[stage], held, stage)
                yield {**about, "method": name, "rows": count, "stage": stage, **errors}


def _first_donor(trace: pd.DataFrame, target: str) -> str:
    return next(gpu for gpu in sorted(trace["gpu"].unique()) if gpu != target)


def _errors(point_ms: NDArray[np.float64], held: Holdout, stage: str) -> dict[str, float]:
    """Absolute relative errors against the median of repeats."""
    error = np.abs(point_ms / held.typical_ms[stage] - 1.0)
    return {"median_ape": float(np.median(error)), "mean_ape": float(np.mean(error))}


def floor(raw: pd.DataFrame, target: str) -> dict[str, float]:
    """Errors of trees that are told every column, on rows that they were not trained on."""
    own = raw[raw["gpu"] == target]
    found = {}
    for stage in STAGES:
        latency = own[f"{stage}_ms"].to_numpy(dtype=float)
        error = np.abs(trees_left_out(own, latency) / latency - 1.0)
        found[f"{stage} median"] = round(100 * float(np.median(error)), 1)
        found[f"{stage} mean"] = round(100 * float(np.mean(error)), 1)
    return found


def summarise(scores: pd.DataFrame) -> pd.DataFrame:
    """Means over splits, and the spread of the median error between them, in percent."""
    keys = ["target", "method", "rows", "stage"]
    grouped = scores.groupby(keys, sort=False)
    table = pd.DataFrame(
        {
            "median": 100 * grouped["median_ape"].mean(),
            "+-": 100 * grouped["median_ape"].std(),
            "worst": 100 * grouped["median_ape"].max(),
            "mean": 100 * grouped["mean_ape"].mean(),
            "point": 100 * grouped["median_ape_of_point"].mean(),
            "90 % covers": 100 * grouped["coverage_90"].mean(),
        }
    )
    return table.astype(object).where(table.notna(), None).map(_rounded)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(float(value), 1)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--splits", type=int, default=10)
    parser.add_argument("--counts", type=_numbers, default=(0, 5, 10, 25, 50, 100, 200))
    parser.add_argument("--targets", type=_names, default=("h200_sxm", "h100_sxm", "b200_sxm"))
    parser.add_argument("--data", type=Path, default=data_file("silicon_serving.parquet"))
    parser.add_argument("-o", "--output", type=Path, default=RESULTS / "serving.json")
    return parser.parse_args()


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split(","))


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split(",")))


if __name__ == "__main__":
    main()
