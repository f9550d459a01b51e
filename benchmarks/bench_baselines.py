"""Every method of transfer on every GPU: error against the noise-free truth.

Each GPU of the data is the target in turn, with the donors of `bench_transfer` (three without near
relatives). Single-source methods carry the first donor over. Donors are trained on configurations
that are not tested.

    python -m benchmarks.bench_baselines [--repetitions 3] [--methods A,B,...] [--jobs 2]
        [--data FILE] [-o FILE.json]
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
from joblib import Parallel, delayed

import bayeslat as bl
from bayeslat.evaluation.baselines import Donors
from bayeslat.evaluation.comparison import HIERARCHICAL
from bayeslat.evaluation.comparison.hierarchical import find_method
from bayeslat.evaluation.comparison.scoring import score_estimate
from bayeslat.evaluation.holdout import hold_out
from benchmarks.bench_same_gpu import noise_free
from benchmarks.bench_transfer import UNRELATED
from benchmarks.common import RESULTS, data_file, machine, print_table, root, write_json

COUNTS = (0, 5, 10, 25, 50, 100)
METHODS = (
    HIERARCHICAL, "direct", "A", "A_ols", "B", "B_total_only", "C_neural", "C_ridge", "ridge",
    "gaussian_process", "boosted_trees", "bootstrap", "hfd_tl_ridge",
)  # fmt: skip
TEST_CONFIGS = 100


def main() -> None:
    options = _options()
    frame = pd.read_parquet(options.data)
    methods = tuple(options.methods.split(",")) if options.methods else METHODS
    runs = Parallel(n_jobs=options.jobs)(
        delayed(score_target)(frame, target, donors, methods, repetition)
        for target, donors in UNRELATED.items()
        for repetition in range(options.repetitions)
    )
    rows = [row for run in runs for row in run]
    scores = pd.DataFrame(rows)
    tables = {stage: summarise(scores, stage) for stage in dict.fromkeys(scores["stage"])}
    for stage, table in tables.items():
        print_table(f"{stage}: MAPE %, mean over targets (worst target)", table)
    content = {
        "machine": machine(),
        "repetitions": options.repetitions,
        "test_configs": TEST_CONFIGS,
        "donors": UNRELATED,
        "summary": {stage: table.to_dict("index") for stage, table in tables.items()},
        "scores": [row for row in rows if row["stage"] == "total"],
    }
    write_json(options.output, content)


def score_target(
    frame: pd.DataFrame,
    target: str,
    donors: tuple[str, ...],
    methods: tuple[str, ...],
    repetition: int,
) -> list[dict[str, Any]]:
    """Score all methods on one target in one repetition."""
    spec = bl.load_spec(root("models/vlm.toml"))
    table = bl.load_hardware()
    gpu = table.resolve(target)
    own = frame[frame["gpu"] == target]
    seen = [name for name in frame.columns if not name.startswith("true_")]
    # The same split for the truth: it depends on the knobs alone.
    held = hold_out(spec, own[seen], gpu, TEST_CONFIGS, [0, repetition])
    truth = hold_out(spec, noise_free(own), gpu, TEST_CONFIGS, [0, repetition])
    held = replace(held, typical_ms=truth.typical_ms)
    tested = held.test.merge(own, on=list(held.test))["config_id"]
    rows = frame[frame["gpu"].isin(donors) & ~frame["config_id"].isin(tested)][seen]
    trained_on = Donors(spec, rows, donors[0], table, repetition)
    found = []
    for name in methods:
        method = find_method(name, "laplace")
        trained = method.train(trained_on)
        for count in COUNTS:
            if count < method.least_rows:
                continue
            estimate = trained.calibrate(held.pool[:count], gpu).predict(held.test)
            about = {"target": target, "repetition": repetition, "method": name, "rows": count}
            found += [{**about, **row} for row in score_estimate(estimate, held)]
    return found


def summarise(scores: pd.DataFrame, stage: str) -> pd.DataFrame:
    """Mean over targets, and the worst, of the mean over repetitions; methods by rows."""
    chosen = scores[scores["stage"] == stage]
    by_target = chosen.groupby(["method", "rows", "target"], sort=False)["mape"].mean() * 100
    grouped = by_target.groupby(level=["method", "rows"], sort=False)
    text = grouped.mean().map("{:.1f}".format) + " (" + grouped.max().map("{:.1f}".format) + ")"
    table = text.unstack("rows")
    methods = list(dict.fromkeys(chosen["method"]))
    return table.loc[methods, sorted(table.columns)].rename(columns=str).fillna("-")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--methods", default="")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--data", type=Path, default=data_file("vlm_stages.parquet"))
    parser.add_argument("-o", "--output", type=Path, default=RESULTS / "baselines.json")
    return parser.parse_args()


if __name__ == "__main__":
    main()
