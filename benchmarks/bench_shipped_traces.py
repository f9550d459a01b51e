"""A device from ten of its configurations, on the traces of the repository: error beside noise.

Each device is left out in turn: the others are fitted with all their rows, it is calibrated with a
single measurement of each of a few configurations. Its other configurations are predicted, and
scored against the median of their repeats. The noise floor is how far a single repeat is from the
median of the others, which no prediction of single runs can beat. Even the median of three is
mostly noise. Two repeats have nothing in common but the error of the prediction, so the mean
product of their log errors is its square without the noise: `typical` is the mean absolute error of
a normal one of that size. Skewed noise, whose mean is not its median, counts in. A further pass
over the configurations has an error of its own beside, which its runs share: with it, `further` is
the error of typical runs of a pass that was not calibrated in, which is what the verdict expects.

    python -m benchmarks.bench_shipped_traces [--configs 10] [--seeds 5] [--engine laplace]
        [--traces FOLDER] [-o FILE.json]
"""

from __future__ import annotations

import argparse
from itertools import combinations, permutations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

import bayeslat as bl
from bayeslat.evaluation.measured import measured_latencies
from bayeslat.evaluation.metrics import coverage, mape
from bayeslat.features.spec import Spec
from benchmarks.common import RESULTS, machine, print_table, root, write_json


def main() -> None:
    options = _options()
    spec = bl.load_spec(root("models/tiny_vlm.toml"))
    traces = bl.read_traces(str(options.traces / "*.parquet"))
    traces = traces[~traces["reference"].astype(bool)]
    rows = [
        row
        for seed in range(options.seeds)
        for target in dict.fromkeys(traces["gpu"])
        for row in score_target(spec, traces, target, options.configs, seed, options.engine)
    ]
    scores = pd.DataFrame(rows)
    table = summarise(scores)
    print_table(f"{options.configs} rows of the target, {options.seeds} splits, MAPE %", table)
    content = {
        "machine": machine(),
        "engine": options.engine,
        "seeds": options.seeds,
        "calibration_rows": options.configs,
        "summary": {
            stage: part.droplevel("stage").to_dict("index")
            for stage, part in table.groupby(level="stage", sort=False)
        },
        "scores": rows,
    }
    write_json(options.output, content)


def score_target(
    spec: Spec, traces: pd.DataFrame, target: str, configs: int, seed: int, engine: Any
) -> list[dict[str, Any]]:
    """Fit the other devices, calibrate the target, and score its other configurations."""
    own = traces[traces["gpu"] == target]
    ids = np.random.default_rng(seed).permutation(np.unique(own["config_id"]))
    calibration = own[own["config_id"].isin(ids[:configs]) & (own["repeat"] == 0)]
    donors = traces[traces["gpu"] != target]
    fitted = bl.fit(spec, donors, engine=engine, seed=seed)
    posterior = fitted.calibrate(calibration, gpu=target, seed=seed)
    test = own[own["config_id"].isin(ids[configs:])]
    once = test[test["repeat"] == 0]
    prediction = posterior.predict(once, gpu=target).frame
    measured = measured_latencies(spec, test, bl.load_hardware().resolve(target))
    rows = []
    for stage in (*spec.stages, "total"):
        by_config = pd.DataFrame(
            {
                "config_id": test["config_id"].to_numpy(),
                "repeat": test["repeat"].to_numpy(),
                "ms": measured[stage],
            }
        ).pivot(index="config_id", columns="repeat", values="ms")
        repeats = by_config.loc[once["config_id"]]
        named = {
            name: prediction[f"{stage}_{name}_ms"].to_numpy() for name in ("point", "q05", "q95")
        }
        first = repeats.iloc[:, 0].to_numpy()
        errors = np.log(repeats.to_numpy() / prediction[[f"{stage}_q50_ms"]].to_numpy())
        product = np.mean([np.mean(a * b) for a, b in combinations(errors.T, 2)])
        further = np.mean([_square(errors, *pair) for pair in permutations(range(3), 2) if pair[0]])
        rows.append(
            {
                "seed": seed,
                "target": target,
                "stage": stage,
                "mape": mape(named["point"], repeats.median(axis=1).to_numpy()),
                "typical": float(np.sqrt(2 / np.pi * max(product, 0.0))),
                "further": float(np.sqrt(2 / np.pi * max(further, 0.0))),
                "expected": posterior.judge_transfer(target).error.mean,
                "noise_floor": mape(first, repeats.iloc[:, 1:].median(axis=1).to_numpy()),
                "coverage_90": coverage(named["q05"], named["q95"], first),
                "width_90": float(np.median((named["q95"] - named["q05"]) / named["point"])),
            }
        )
    return rows


def _square(errors: NDArray[np.float64], of: int, other: int) -> float:
    """Mean square of the log errors of a pass, without the noise of its runs.

    The product with those of another lacks what the two passes are apart, which their means tell.
    """
    first, second = errors[:, of], errors[:, other]
    return float(np.mean(first * second) + first.mean() * (first.mean() - second.mean()))


def summarise(scores: pd.DataFrame) -> pd.DataFrame:
    """Mean over the splits, for each stage and target."""
    grouped = scores.groupby(["stage", "target"], sort=False)
    return pd.DataFrame(
        {
            "MAPE %": 100 * grouped["mape"].mean(),
            "MAPE % (worst split)": 100 * grouped["mape"].max(),
            "typical %": 100 * grouped["typical"].mean(),
            "further %": 100 * grouped["further"].mean(),
            "expected % (total)": 100 * grouped["expected"].mean(),
            "noise floor %": 100 * grouped["noise_floor"].mean(),
            "90 % covers": 100 * grouped["coverage_90"].mean(),
            "width of 90 %": grouped["width_90"].mean(),
        }
    ).round(2)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--configs", type=int, default=10)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--engine", choices=("nuts", "laplace"), default="laplace")
    parser.add_argument("--traces", type=Path, default=root("traces"))
    parser.add_argument("-o", "--output", type=Path, default=RESULTS / "shipped_traces.json")
    return parser.parse_args()


if __name__ == "__main__":
    main()
