"""Another GPU from few of its configurations: error, coverage and width against their bounds.

Every GPU is a target in turn. The donors are three others without its near relatives, or all five
others where one of them is a relative. Donors are fitted on three quarters of the configurations;
the target is calibrated with a few of those and scored on the last quarter: errors and intervals of
a typical run against the noise-free truth, intervals of a run against the noisy measurements; and
the error of the total that the verdict expects, beside the real one.

    python -m benchmarks.bench_transfer [--engine laplace] [--seeds 3] [--draws-of-rows 2]
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
from bayeslat.evaluation.measured import measured_latencies
from bayeslat.evaluation.metrics import coverage, crps, mape
from benchmarks.bench_same_gpu import noise_free
from benchmarks.common import RESULTS, data_file, machine, print_table, root, write_json

COUNTS = (0, 5, 10, 25, 50)
UNRELATED = {
    "h100_sxm": ("a100_sxm", "l40s", "b200_sxm"),
    "h200_sxm": ("a100_sxm", "l40s", "gb200"),
    "b200_sxm": ("a100_sxm", "l40s", "h100_sxm"),
    "gb200": ("a100_sxm", "l40s", "h200_sxm"),
    "a100_sxm": ("h100_sxm", "l40s", "b200_sxm"),
    "l40s": ("a100_sxm", "h200_sxm", "gb200"),
}
RELATED = ("h100_sxm", "h200_sxm", "b200_sxm", "gb200")
MUST = {
    "3 donors without relatives": {0: 16.0, 5: 2.9, 10: 2.2, 25: 1.7, 50: 1.4},
    "5 donors with a relative": {0: 7.0, 5: 2.6, 10: 2.1, 25: 1.6, 50: 1.3},
}
TEST_CONFIGS = 100


def main() -> None:
    options = _options()
    frame = pd.read_parquet(options.data)
    rows = [row for case in _cases(frame) for row in score_case(frame, *case, options)]
    scores = pd.DataFrame(rows)
    table = summarise(scores)
    for donors in dict.fromkeys(scores["donors"]):
        print_table(f"{donors}, {options.seeds} splits", table.loc[donors])
    total = scores[scores["stage"] == "total"]
    errors = total[total["rows"] > 0].astype({"expected_total_mape": float})
    expected = 100 * errors.pivot_table("expected_total_mape", "rows", "donors", sort=False)
    print_table("MAPE % of the total that the verdict expects", expected.round(2))
    errors["held"] = errors["mape"].between(
        errors["expected_low"].astype(float), errors["expected_high"].astype(float)
    )
    held = 100 * errors.pivot_table("held", "rows", "donors", sort=False)
    print_table("its 90 % range holds the MAPE, %", held.round(1))
    speed = total.groupby("rows")["calibration_s"].median()
    print_table("Calibration, s (median)", speed.to_frame().round(4))
    content = {
        "machine": machine(),
        "engine": options.engine,
        "seeds": options.seeds,
        "draws_of_rows": options.draws_of_rows,
        "test_configs": TEST_CONFIGS,
        "must_reach_mape_percent": MUST,
        "summary": {
            donors: {
                stage: part.droplevel([0, 1]).to_dict("index")
                for stage, part in table.loc[[donors]].groupby(level="stage", sort=False)
            }
            for donors in dict.fromkeys(scores["donors"])
        },
        "expected_total_mape_percent": expected.to_dict(),
        "expected_range_holds_percent": held.to_dict(),
        "calibration_s": speed.to_dict(),
        "scores": rows,
    }
    write_json(options.output, content)


def _cases(frame: pd.DataFrame) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Targets with their donors."""
    for target, donors in UNRELATED.items():
        yield "3 donors without relatives", target, donors
    for target in RELATED:
        others = tuple(gpu for gpu in sorted(frame["gpu"].unique()) if gpu != target)
        yield "5 donors with a relative", target, others


def score_case(
    frame: pd.DataFrame,
    donors_name: str,
    target: str,
    donors: tuple[str, ...],
    options: argparse.Namespace,
) -> Iterator[dict[str, Any]]:
    """Fit the donors, and calibrate the target with several sets of rows."""
    spec = bl.load_spec(root("models/vlm.toml"))
    entry = bl.load_hardware().resolve(target)
    seen = [name for name in frame.columns if not name.startswith("true_")]
    ids = np.unique(frame["config_id"])
    for seed in range(options.seeds):
        order = np.random.default_rng(100 + seed).permutation(ids)
        pool, tested = order[TEST_CONFIGS:], order[:TEST_CONFIGS]
        trained = frame[frame["config_id"].isin(pool) & frame["gpu"].isin(donors)]
        posterior = bl.fit(spec, trained[seen], engine=options.engine, seed=seed)
        own = frame[frame["gpu"] == target]
        test = own[own["config_id"].isin(tested)]
        for count in COUNTS:
            for draw in range(options.draws_of_rows if count else 1):
                rng = np.random.default_rng([seed, count, draw])
                chosen = own["config_id"].isin(rng.choice(pool, count, replace=False))
                began = time.perf_counter()
                calibrated = (
                    posterior.calibrate(own.loc[chosen, seen], target) if count else posterior
                )
                seconds = time.perf_counter() - began
                verdict = calibrated.judge_transfer(target) if count else None
                prediction = calibrated.predict(test[seen], gpu=target)
                typical = calibrated.predict(test[seen], gpu=target, of="typical").frame
                noisy = measured_latencies(spec, test, entry)
                truth = measured_latencies(spec, noise_free(test), entry)
                for stage in (*spec.stages, "total"):
                    named = {
                        name: prediction.frame[f"{stage}_{name}_ms"].to_numpy()
                        for name in ("point", "q05", "q25", "q50", "q75", "q95")
                    }
                    low, high = (typical[f"{stage}_{end}_ms"].to_numpy() for end in ("q05", "q95"))
                    score = crps(prediction.draws(stage), noisy[stage])
                    yield {
                        "donors": donors_name,
                        "target": target,
                        "seed": seed,
                        "rows": count,
                        "draw": draw,
                        "stage": stage,
                        "mape": mape(named["point"], truth[stage]),
                        "expected_total_mape": verdict.error.mean if verdict else None,
                        "expected_low": verdict.error.low if verdict else None,
                        "expected_high": verdict.error.high if verdict else None,
                        "typical_90": coverage(low, high, truth[stage]),
                        "coverage_90": coverage(named["q05"], named["q95"], noisy[stage]),
                        "coverage_50": coverage(named["q25"], named["q75"], noisy[stage]),
                        "width_90": float(np.median((named["q95"] - named["q05"]) / named["q50"])),
                        "crps_relative": float(np.mean(score / noisy[stage])),
                        "calibration_s": seconds,
                    }


def summarise(scores: pd.DataFrame) -> pd.DataFrame:
    """Mean over the targets, and the worst of them, of the means over splits."""
    keys = ["donors", "stage", "rows"]
    by_target = scores.groupby([*keys, "target"], sort=False).mean(numeric_only=True)
    grouped = by_target.groupby(level=keys, sort=False)
    table = pd.DataFrame(
        {
            "MAPE %": 100 * grouped["mape"].mean(),
            "MAPE % (worst)": 100 * grouped["mape"].max(),
            "typical: 90 % covers": 100 * grouped["typical_90"].mean(),
            "90 % covers": 100 * grouped["coverage_90"].mean(),
            "90 % covers (worst)": 100 * grouped["coverage_90"].min(),
            "50 % covers": 100 * grouped["coverage_50"].mean(),
            "width of 90 %": grouped["width_90"].mean(),
            "CRPS %": 100 * grouped["crps_relative"].mean(),
        }
    ).round(3)
    return table


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--engine", choices=("nuts", "laplace"), default="laplace")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--draws-of-rows", type=int, default=2)
    parser.add_argument("--data", type=Path, default=data_file("vlm_stages.parquet"))
    parser.add_argument("-o", "--output", type=Path, default=RESULTS / "transfer.json")
    return parser.parse_args()


if __name__ == "__main__":
    main()
