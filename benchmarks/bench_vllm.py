"""Step time and queueing delay of a vLLM server from few of its rows, on `traces/vllm/`.

Each group (GPU, model) is held out in turn; the others are the donors, among them the other model
on the same GPU. Some of the group's own rows calibrate; rows that nobody has seen test. Boosted
trees learn from 2 000 of the group's own steps, ten times as many.

- step: MAPE of the point, and what of the test rows the 90 % intervals hold. The rows are split at
  random, and by time: every third twelfth of the session tests. A machine that is faster at one
  time than at another tells trees the time by the lengths of the contexts, if rows from just before
  and after a test row may train; a server that is predicted before it runs has none.
- floor: MAPE round the median of the eleven steps about each, relative to the prediction: what a
  model that knew how fast the machine is at the moment would leave;
- queueing: the probability integral transform of the test requests, below saturation (somewhere to
  go at once) and above: Kolmogorov's distance, and what the 90 % intervals hold. `ks_p` takes the
  requests for independent. They share what is not known of the group, so `predictive_p` is the part
  of tables drawn from the prediction that are as far from uniform (Rubin 1984, section 5).

    python -m benchmarks.bench_vllm [--splits 5] [-o FILE.json]
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xgboost
from numpy.typing import NDArray
from scipy.stats import kstest

import bayeslat as bl
from bayeslat.evaluation.metrics import coverage, mape, pit
from bayeslat.evaluation.replicates import simulate_tables
from benchmarks.common import RESULTS, machine, print_table, root, write_json

ASKED = {"step MAPE %": 8.0, "rows": 200, "coverage of 90 % intervals": [0.85, 0.95]}
COUNTS = (0, 25, 200)
REQUESTS = 60
RESOLUTION_MS = 0.001  # of the logger's files
OWN_ROWS = 2000
TABLES = 200
BLOCKS = 12  # of a session, for the split by time
TREE_COLUMNS = [
    *("prefill_requests", "prefill_tokens", "prefill_attended_tokens", "decode_requests"),
    *("decode_context_tokens", "running", "waiting", "kv_usage"),
]
TREES: dict[str, Any] = {
    **{"max_depth": 5, "eta": 0.04, "subsample": 0.8, "objective": "reg:absoluteerror"},
    **{"nthread": 1, "verbosity": 0, "seed": 0},
}
ROUNDS = 300


def main() -> None:
    options = _options()
    spec = bl.load_spec(root("models/vllm.toml"))
    trace = spec.complete(bl.read_traces(str(options.traces / "*.parquet")))
    steps, queues = [], []
    for gpu, stack in sorted(set(zip(trace["gpu"], trace["stack"], strict=True))):
        own = (trace["gpu"] == gpu) & (trace["stack"] == stack)
        donors = bl.fit(spec, trace[~own], engine="laplace")
        for split in range(options.splits):
            rows = trace[own].reset_index(drop=True)
            for split_by in ("random", "time"):
                steps += score_steps(donors, rows, gpu, stack, split, split_by)
            queues += score_queueing(donors, rows, gpu, stack, split)
    step_table, queue_table = pd.DataFrame(steps), pd.DataFrame(queues)
    by_rows = step_table.pivot_table(
        ["mape", "coverage_90"], ["split_by", "gpu", "model"], ["method", "rows"], aggfunc="mean"
    )
    print_table("Step time, mean over splits", by_rows.round(3))
    by_region = queue_table.groupby(["gpu", "model", "region"]).mean(numeric_only=True)
    print_table("Queueing delay, mean over splits", by_region.round(3))
    over_all = step_table.groupby(["split_by", "method", "rows"])[["mape", "coverage_90"]].mean()
    print_table("Step time over all groups", over_all.round(3))
    write_json(
        options.output,
        {
            "command": f"python -m benchmarks.bench_vllm --splits {options.splits}",
            "machine": machine(),
            "asked": ASKED,
            "step": step_table.round(5).to_dict("records"),
            "queueing": queue_table.round(5).to_dict("records"),
        },
    )


def score_steps(
    donors: bl.Posterior, own: pd.DataFrame, gpu: str, stack: str, split: int, split_by: str
) -> list[dict[str, Any]]:
    """Calibrate a held-out group with some of its steps, and score others."""
    rng = np.random.default_rng([split, 7])
    named = {"gpu": gpu, "model": stack.split("/")[-1], "split": split, "split_by": split_by}
    steps = own[own["t_step_ms"].notna()].sort_values("step_id")
    later = np.arange(len(steps)) * BLOCKS // len(steps) % 3 == split % 3
    free = steps[~later] if split_by == "time" else steps
    known = free.sample(OWN_ROWS, random_state=rng)
    test = steps[later] if split_by == "time" else steps.drop(known.index)
    latency = test["t_step_ms"].to_numpy()
    found = []
    for count in COUNTS:
        posterior = donors.calibrate(known[:count], gpu=gpu, stack=stack) if count else donors
        frame = posterior.predict(test, gpu, stack=stack).frame
        found.append(
            {
                "method": "hierarchical",
                "rows": count,
                "mape": mape(frame["step_point_ms"].to_numpy(), latency),
                "coverage_90": coverage(
                    frame["step_q05_ms"].to_numpy(), frame["step_q95_ms"].to_numpy(), latency
                ),
            }
        )
    trees = mape(train_trees(known, test), latency)
    found.append({"method": "boosted_trees", "rows": len(known), "mape": trees})
    predicted = posterior.predict(steps, gpu, stack=stack).frame["step_q50_ms"].to_numpy()
    around = steps["t_step_ms"] / predicted
    local = around.rolling(11, center=True, min_periods=6).median()
    found.append({"method": "floor", "rows": 0, "mape": float((local / around - 1).abs().mean())})
    return [{**named, **row} for row in found]


def score_queueing(
    donors: bl.Posterior, own: pd.DataFrame, gpu: str, stack: str, split: int
) -> list[dict[str, Any]]:
    """Calibrate a held-out group with some of its requests, and check the others' distribution."""
    rng = np.random.default_rng([split, 7])
    named = {"gpu": gpu, "model": stack.split("/")[-1], "split": split}
    requests = own[own["t_queueing_ms"].notna()].sample(frac=1, random_state=rng)
    posterior = donors.calibrate(requests[:REQUESTS], gpu=gpu, stack=stack)
    asked = requests[REQUESTS:]
    queue_rows = []
    prediction = posterior.predict(asked, gpu, stack=stack)
    waited = asked["t_queueing_ms"].to_numpy()
    ranks = pit(prediction.draws("queueing"), waited, resolution_ms=RESOLUTION_MS, seed=split)
    tables = simulate_tables(prediction, "queueing", np.ones(len(asked), dtype=bool), seed=split)
    tables = tables[:, : min(TABLES, tables.shape[1])]
    replicated = np.stack(
        [
            pit(prediction.draws("queueing"), table, resolution_ms=RESOLUTION_MS, seed=number)
            for number, table in enumerate(tables.T)
        ],
        axis=1,
    )
    full = (asked["running"] + asked["waiting"] >= asked["max_num_seqs"]).to_numpy()
    for region, part in (("below", ~full), ("above", full)):
        queue_rows.append(
            {
                **named,
                "region": region,
                "requests": int(part.sum()),
                "waited": float((waited[part] > 1.0).mean()),
                "ks": (ks := _ks(ranks[part])),
                "ks_p": float(kstest(ranks[part], "uniform").pvalue),
                "predictive_p": float(np.mean([_ks(table) >= ks for table in replicated[part].T])),
                "coverage_90": float(((ranks[part] > 0.05) & (ranks[part] < 0.95)).mean()),
                "coverage_50": float(((ranks[part] > 0.25) & (ranks[part] < 0.75)).mean()),
            }
        )
    return queue_rows


def _ks(ranks: NDArray[np.float64]) -> float:
    """Kolmogorov's distance from uniform."""
    return float(kstest(ranks, "uniform").statistic)


def train_trees(known: pd.DataFrame, test: pd.DataFrame) -> NDArray[np.float64]:
    """Train boosted trees on some steps, and predict the time of others in ms. Shape (config,)."""

    def columns(rows: pd.DataFrame) -> NDArray[np.float64]:
        return rows[TREE_COLUMNS].to_numpy(dtype=float)

    table = xgboost.DMatrix(columns(known), np.log(known["t_step_ms"].to_numpy()))
    booster = xgboost.train(TREES, table, ROUNDS)
    predicted: NDArray[np.float64] = np.exp(booster.predict(xgboost.DMatrix(columns(test))))
    return predicted


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--splits", type=int, default=5)
    parser.add_argument("--traces", type=Path, default=root("traces/vllm"))
    parser.add_argument("-o", "--output", type=Path, default=RESULTS / "vllm.json")
    return parser.parse_args()


if __name__ == "__main__":
    main()
