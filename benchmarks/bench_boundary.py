"""Rows chosen for a budget against rows chosen for the total: what is misclassified near it.

Targets, donors and splits of `bench_transfer`. The rows of a target are chosen by `--objective
guardrail` for each budget, or by the default, in a batch before anything is measured or in rounds
of 5, 10 and 25 rows. Of the held-out configurations whose noise-free total is within a fifth of
the budget, those count that the calibrated posterior puts on the wrong side of it. Both objectives
are compared on the same target, split and budget; the standard error is over targets and splits.

    python -m benchmarks.bench_boundary [--seeds 2] [--data FILE] [-o FILE.json]
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

COUNTS = (5, 10, 25)
QUANTILES = (0.3, 0.5, 0.7)  # of the noise-free totals: the budgets
NEAR = 0.2  # of the budget
WAYS = ("batch", "rounds")
TOTAL, GUARDRAIL = "total", "guardrail"


def main() -> None:
    options = _options()
    frame = pd.read_parquet(options.data)
    scores = pd.concat(
        [part for target in UNRELATED for part in score_target(frame, target, options.seeds)],
        ignore_index=True,
    )
    table = compare(scores)
    print_table("Misclassified near the budget, %; what the objective gains, points", table)
    content = {
        "command": f"python -m benchmarks.bench_boundary --seeds {options.seeds}",
        "machine": machine(),
        "seeds": options.seeds,
        "near": NEAR,
        "budget_quantiles": QUANTILES,
        "configs_near": round(float(scores["near"].mean()), 1),
        "summary": table.to_dict("records"),
        "scores": scores.round(4).to_dict("records"),
    }
    write_json(options.output, content)


def score_target(frame: pd.DataFrame, target: str, seeds: int) -> Iterator[pd.DataFrame]:
    """Fit the donors, choose rows of the target each way, and count what is misclassified."""
    spec, gpu = bl.load_spec(root("models/vlm.toml")), bl.load_hardware().resolve(target)
    seen = [name for name in frame.columns if not name.startswith("true_")]
    own = frame[frame["gpu"] == target]
    for seed in range(seeds):
        order = np.random.default_rng(100 + seed).permutation(np.unique(frame["config_id"]))
        pool, tested = order[TEST_CONFIGS:], order[:TEST_CONFIGS]
        trained = frame["config_id"].isin(pool) & frame["gpu"].isin(UNRELATED[target])
        fitted = bl.fit(spec, frame.loc[trained, seen], engine="laplace", seed=seed)
        test = own[own["config_id"].isin(tested)]
        true_ms = measured_latencies(spec, noise_free(test), gpu)["total"]
        budgets = {quantile: float(np.quantile(true_ms, quantile)) for quantile in QUANTILES}
        candidates = own.loc[own["config_id"].isin(pool), seen]
        plain = {
            (way, count): posterior.predict(test[seen], target, of="typical")
            for way in WAYS
            for count, posterior in calibrations(fitted, candidates, target, way)
        }
        for quantile, budget in budgets.items():
            near = np.abs(true_ms / budget - 1.0) < NEAR
            for way in WAYS:
                for count, posterior in calibrations(fitted, candidates, target, way, budget):
                    aware = posterior.predict(test[seen], target, of="typical")
                    found = {
                        name: np.mean(
                            (prediction.p_exceed(budget) > 0.5)[near] != (true_ms > budget)[near]
                        )
                        for name, prediction in ((TOTAL, plain[way, count]), (GUARDRAIL, aware))
                    }
                    about = {"target": target, "seed": seed, "way": way, "rows": count}
                    yield pd.DataFrame(
                        [{**about, "quantile": quantile, "near": int(near.sum()), **found}]
                    )


def calibrations(
    fitted: bl.Posterior,
    candidates: pd.DataFrame,
    target: str,
    way: str,
    budget: float | None = None,
) -> Iterator[tuple[int, bl.Posterior]]:
    """Calibrate with each number of rows; with a budget, they are chosen for it."""
    asked: dict[str, Any] = {} if budget is None else {"objective": GUARDRAIL, "budget_ms": budget}
    if way == "batch":
        rows = fitted.suggest(candidates, target, COUNTS[-1], **asked).frame
        for count in COUNTS:
            yield count, fitted.calibrate(rows.head(count)[candidates.columns], target)
        return
    known, before = fitted, 0
    for count in COUNTS:
        rows = known.suggest(candidates, target, count - before, **asked).frame
        known, before = known.calibrate(rows[candidates.columns], target), count
        yield count, known


def compare(scores: pd.DataFrame) -> pd.DataFrame:
    """Per cent misclassified by each objective, and the paired difference with its error."""
    rows = []
    for (way, count), part in scores.groupby(["way", "rows"], sort=False):
        pairs = part.groupby(["target", "seed"])[[TOTAL, GUARDRAIL]].mean()
        gain = 100 * (pairs[TOTAL] - pairs[GUARDRAIL])
        rows.append(
            {
                "way": way,
                "rows": count,
                TOTAL: round(100 * float(pairs[TOTAL].mean()), 2),
                GUARDRAIL: round(100 * float(pairs[GUARDRAIL].mean()), 2),
                "gain": round(float(gain.mean()), 2),
                "standard error": round(float(gain.std() / np.sqrt(len(gain))), 2),
                "pairs": len(gain),
            }
        )
    return pd.DataFrame(rows)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--data", type=Path, default=data_file("vlm_stages.parquet"))
    parser.add_argument("-o", "--output", type=Path, default=RESULTS / "boundary.json")
    return parser.parse_args()


if __name__ == "__main__":
    main()
