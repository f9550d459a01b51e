"""The guardrail on other GPUs from few rows: false accepts and rejects, and how true p_exceed is.

Targets, donors and splits of `bench_transfer`. Budgets are quantiles of the target's noise-free
totals; a false accept is a configuration whose noisy measurement is over the budget. The document's
rule (accept if 1.1 x prediction <= budget) is applied to the same posterior's point.

    python -m benchmarks.bench_guard [--seeds 3] [--data FILE] [-o FILE.json]
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import bayeslat as bl
from bayeslat.evaluation.measured import measured_latencies
from benchmarks.bench_same_gpu import noise_free
from benchmarks.bench_transfer import TEST_CONFIGS, UNRELATED
from benchmarks.common import RESULTS, data_file, machine, print_table, root, write_json

COUNTS = (10, 25)
QUANTILES = (0.3, 0.4, 0.5, 0.6, 0.7)
MAX_RISK = 0.05
BINS = (-1e-9, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


def main() -> None:
    options = _options()
    frame = pd.read_parquet(options.data)
    decided = pd.concat(
        [part for target in UNRELATED for part in decide_target(frame, target, options.seeds)]
    )
    rates, calibration = summarise(decided), reliability(decided)
    print_table(f"Per cent of the configurations, max_risk {MAX_RISK}", rates)
    print_table("p_exceed against what happened", calibration)
    content = {
        "machine": machine(),
        "seeds": options.seeds,
        "max_risk": MAX_RISK,
        "rates_percent": rates.to_dict("index"),
        "reliability": calibration.to_dict("records"),
    }
    write_json(options.output, content)


def decide_target(frame: pd.DataFrame, target: str, seeds: int) -> Iterator[pd.DataFrame]:
    """Decide about a target's held-out configurations."""
    spec = bl.load_spec(root("models/vlm.toml"))
    gpu = bl.load_hardware().resolve(target)
    seen = [name for name in frame.columns if not name.startswith("true_")]
    own = frame[frame["gpu"] == target]
    for seed in range(seeds):
        order = np.random.default_rng(100 + seed).permutation(np.unique(frame["config_id"]))
        pool, tested = order[TEST_CONFIGS:], order[:TEST_CONFIGS]
        trained = frame[frame["config_id"].isin(pool) & frame["gpu"].isin(UNRELATED[target])]
        fitted = bl.fit(spec, trained[seen], engine="laplace", seed=seed)
        test = own[own["config_id"].isin(tested)]
        total = measured_latencies(spec, test, gpu)["total"]
        truth = measured_latencies(spec, noise_free(test), gpu)["total"]
        for count in COUNTS:
            chosen = np.random.default_rng([seed, count]).choice(pool, count, replace=False)
            rows = own.loc[own["config_id"].isin(chosen), seen]
            posterior = fitted.calibrate(rows, target)
            point = posterior.predict(test[seen], target).frame["total_point_ms"].to_numpy()
            for quantile in QUANTILES:
                budget = float(np.quantile(truth, quantile))
                found = posterior.guard(target, budget, max_risk=MAX_RISK).decide(test[seen])
                columns: dict[str, Any] = {
                    "target": target,
                    "rows": count,
                    "p_exceed": found["p_exceed"].to_numpy(),
                    "decision": found["decision"].to_numpy(),
                    "rule": 1.1 * point <= budget,
                    "over": total > budget,
                }
                yield pd.DataFrame(columns)


def summarise(decided: pd.DataFrame) -> pd.DataFrame:
    """Rates by number of calibration rows, in per cent of all configurations."""
    over, p_exceed = decided["over"], decided["p_exceed"]
    table = pd.DataFrame(
        {
            "rows": decided["rows"],
            "false accept": (decided["decision"] == "accept") & over,
            "false accept, measure accepted": (p_exceed <= MAX_RISK) & over,
            "false reject": (p_exceed > MAX_RISK) & ~over,
            "measure": decided["decision"] == "measure",
            "false accept, 1.1 x point": decided["rule"] & over,
            "false reject, 1.1 x point": ~decided["rule"] & ~over,
        }
    )
    return (100 * table.groupby("rows").mean()).round(3)


def reliability(decided: pd.DataFrame) -> pd.DataFrame:
    """Mean p_exceed and observed frequency in bins of p_exceed."""
    grouped = decided.groupby(pd.cut(decided["p_exceed"], BINS), observed=True)
    table = grouped.agg(
        predicted=("p_exceed", "mean"), observed=("over", "mean"), configs=("over", "size")
    )
    return table.reset_index(drop=True).round(4)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--data", type=Path, default=data_file("vlm_stages.parquet"))
    parser.add_argument("-o", "--output", type=Path, default=RESULTS / "guard.json")
    return parser.parse_args()


if __name__ == "__main__":
    main()
