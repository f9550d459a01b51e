"""Prediction of other configurations on the GPUs that were fitted: error, coverage, width.

Fits half of the configurations of three donors, and predicts the other half. Errors are against
the noise-free truth; coverage is of the noisy measurements.

    python -m benchmarks.bench_same_gpu [--engine nuts] [--seeds 4] [--data FILE] [-o FILE.json]
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import bayeslat as bl
from bayeslat.evaluation.measured import measured_latencies
from bayeslat.evaluation.metrics import coverage, mape
from benchmarks.common import RESULTS, data_file, machine, print_table, root, write_json

DONORS = (("a100_sxm", "h100_sxm", "b200_sxm"), ("l40s", "h200_sxm", "gb200"))
TRAINED = 200  # configurations


def main() -> None:
    options = _options()
    frame = pd.read_parquet(options.data)
    rows = [
        row
        for seed in range(options.seeds)
        for donors in DONORS
        for row in score_split(frame, donors, seed, options.engine)
    ]
    scores = pd.DataFrame(rows)
    first = scores[scores["gpu"].isin(DONORS[0])]
    tables = {"a100, h100, b200": summarise(first), "all six GPUs": summarise(scores)}
    for name, table in tables.items():
        print_table(f"{name}: {TRAINED} configurations each, {options.seeds} splits", table)
    content = {
        "machine": machine(),
        "engine": options.engine,
        "seeds": options.seeds,
        "trained_configs": TRAINED,
        "summary": {name: table.to_dict("index") for name, table in tables.items()},
        "scores": rows,
    }
    write_json(options.output, content)


def score_split(
    frame: pd.DataFrame, donors: tuple[str, ...], seed: int, engine: Any
) -> list[dict[str, Any]]:
    """Fit one random half of the configurations and score the other, per GPU and stage."""
    spec = bl.load_spec(root("models/vlm.toml"))
    ids = np.random.default_rng(seed).permutation(np.unique(frame["config_id"]))
    trained = frame["config_id"].isin(ids[:TRAINED])
    seen = [name for name in frame.columns if not name.startswith("true_")]
    posterior = bl.fit(spec, frame.loc[trained, seen], gpus=donors, engine=engine, seed=seed)
    rows = []
    for gpu in donors:
        test = frame[~trained & (frame["gpu"] == gpu)]
        prediction = posterior.predict(test[seen], gpu=gpu)
        entry = bl.load_hardware().resolve(gpu)
        noisy = measured_latencies(spec, test, entry)
        truth = measured_latencies(spec, noise_free(test), entry)
        for stage in (*spec.stages, "total"):
            named = {
                name: prediction.frame[f"{stage}_{name}_ms"].to_numpy()
                for name in ("point", "q05", "q25", "q50", "q75", "q95")
            }
            rows.append(
                {
                    "seed": seed,
                    "gpu": gpu,
                    "stage": stage,
                    "mape": mape(named["point"], truth[stage]),
                    "coverage_90": coverage(named["q05"], named["q95"], noisy[stage]),
                    "coverage_50": coverage(named["q25"], named["q75"], noisy[stage]),
                    "width_90": float(np.median((named["q95"] - named["q05"]) / named["q50"])),
                }
            )
    return rows


def noise_free(rows: pd.DataFrame) -> pd.DataFrame:
    """Put the noise-free latencies in the place of the measured ones."""
    true = [name for name in rows.columns if name.startswith("true_")]
    names = {name: name.replace("true_", "t_", 1) for name in true}
    return rows.drop(columns=list(names.values())).rename(columns=names)


def summarise(scores: pd.DataFrame) -> pd.DataFrame:
    """Median over GPUs and splits of the error, means of the coverages."""
    grouped = scores.groupby("stage", sort=False)
    return pd.DataFrame(
        {
            "MAPE % (median)": 100 * grouped["mape"].median(),
            "MAPE % (worst)": 100 * grouped["mape"].max(),
            "90 % covers": 100 * grouped["coverage_90"].mean(),
            "90 % covers (worst)": 100 * grouped["coverage_90"].min(),
            "50 % covers": 100 * grouped["coverage_50"].mean(),
            "width of 90 %": grouped["width_90"].median(),
        }
    ).round(2)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--engine", choices=("nuts", "laplace"), default="nuts")
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--data", type=Path, default=data_file("vlm_stages.parquet"))
    parser.add_argument("-o", "--output", type=Path, default=RESULTS / "same_gpu.json")
    return parser.parse_args()


if __name__ == "__main__":
    main()
