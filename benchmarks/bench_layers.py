"""Measured decoder layers of three GPUs, which the model was not tuned on, method by method.

The time of a Llama-2 layer without its attention kernel, measured by Vidur on A100, A40 and H100 by
tokens, model and tensor-parallel degree. Each GPU is the target in turn and the two others are the
donors; the specification, `decoder_layer.toml`, is the layer's arithmetic. Beside every method of
`compare`, configurations that `suggest` chose are compared with random ones (how much neighbours
share to it was chosen with these data). A configuration was measured once, so what is left over is
mostly how kernels cut it into tiles: errors are against the measurement, and do not go to zero; a
measurement is as good as a typical run.

    python -m benchmarks.bench_layers [--repetitions 6] [--configs 800] [--jobs 2] [-o FILE.json]
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import bayeslat as bl
from bayeslat.evaluation.comparison import HIERARCHICAL, CompareOptions, compare
from bayeslat.evaluation.holdout import without_configs
from bayeslat.evaluation.measured import measured_latencies
from bayeslat.evaluation.metrics import coverage, mape
from benchmarks.common import RESULTS, data_file, machine, print_table, root, write_json

GPUS = {"a100": "a100_sxm", "a40": "a40", "h100": "h100_sxm"}
COUNTS = (0, 5, 10, 25, 50)
METHODS = (
    HIERARCHICAL, "A", "C_ridge", "C_neural", "ridge", "gaussian_process", "boosted_trees",
    "hfd_tl_ridge",
)  # fmt: skip
TEST_CONFIGS = 100
CANDIDATES = 300


def main() -> None:
    options = _options()
    spec = bl.load_spec(root("benchmarks/decoder_layer.toml"))
    frame = read_layers(options.data, options.configs)
    compared = [score_methods(spec, frame, target, options) for target in GPUS.values()]
    chosen = [
        row for target in GPUS.values() for row in score_choices(spec, frame, target, options)
    ]
    by_method, by_choice = summarise(pd.concat(compared)), sum_up_choices(pd.DataFrame(chosen))
    for target in GPUS.values():
        print_table(f"Total on {target}: MAPE % (90 % covers)", by_method[target])
    print_table("Chosen and random rows, mean over GPUs", by_choice)
    content = {
        "machine": machine(),
        "configs_of_a_gpu": options.configs,
        "repetitions": options.repetitions,
        "test_configs": TEST_CONFIGS,
        "methods": {target: table.to_dict("index") for target, table in by_method.items()},
        "choices": by_choice.reset_index().to_dict("records"),
        "choice_scores": chosen,
    }
    write_json(options.output, content)


def read_layers(path: Path, configs: int) -> pd.DataFrame:
    """Return the layers as traces: the shape of one GPU's share of a layer, and two stages."""
    layers = pd.read_parquet(path)
    head = layers["n_embd"] / layers["n_head"]
    found = pd.DataFrame(
        {
            "gpu": layers["gpu"].map(GPUS),
            "num_tokens": layers["num_tokens"],
            "hidden": layers["n_embd"],
            "query_width": layers["n_head"] * head / layers["tp"],
            "kv_width": layers["n_kv_head"] * head / layers["tp"],
            "mlp_width": layers["mlp_hidden"] / layers["tp"],
            "linear_ms": layers["gemm_ms"],
            "elementwise_ms": layers["layer_ms"] - layers["gemm_ms"],
        }
    )
    return found.groupby("gpu").sample(configs, random_state=0).reset_index(drop=True)


def score_methods(
    spec: bl.Spec, frame: pd.DataFrame, target: str, options: argparse.Namespace
) -> pd.DataFrame:
    """Compare every method on one target."""
    donors = tuple(sorted(set(GPUS.values()) - {target}))
    asked = CompareOptions(
        target=target,
        donors=donors,
        source=donors[0],
        methods=METHODS,
        counts=COUNTS,
        repetitions=options.repetitions,
        test_configs=TEST_CONFIGS,
    )
    scores = compare(spec, frame, asked, jobs=options.jobs).scores
    return scores[scores["stage"] == "total"].assign(target=target)


def score_choices(
    spec: bl.Spec, frame: pd.DataFrame, target: str, options: argparse.Namespace
) -> Iterator[dict[str, Any]]:
    """Calibrate with rows that `suggest` chose, and with random ones."""
    entry = bl.load_hardware().resolve(target)
    for seed in range(options.repetitions):
        own = frame[frame["gpu"] == target].sample(frac=1.0, random_state=seed)
        test, candidates = own[CANDIDATES:], own[:CANDIDATES]
        measured = measured_latencies(spec, test, entry)["total"]
        trained = without_configs(frame[frame["gpu"] != target], test[list(spec.knobs)])
        posterior = bl.fit(spec, trained, engine="laplace", seed=seed)
        batch = posterior.suggest(candidates.drop_duplicates(list(spec.knobs)), target, COUNTS[-1])
        choices = {"chosen": batch.frame[candidates.columns], "random": candidates}
        for count in COUNTS[1:]:
            for choice, rows in choices.items():
                calibrated = posterior.calibrate(rows.head(count), target)
                found = calibrated.predict(test, gpu=target).frame
                point, low, high = (found[f"total_{name}_ms"] for name in ("point", "q05", "q95"))
                typical = calibrated.predict(test, gpu=target, of="typical").frame
                own_low, own_high = typical["total_q05_ms"], typical["total_q95_ms"]
                yield {
                    "target": target,
                    "seed": seed,
                    "choice": choice,
                    "rows": count,
                    "mape": mape(point.to_numpy(), measured),
                    "expected_mape": calibrated.judge_transfer(target).error.mean,
                    "typical_90": coverage(own_low.to_numpy(), own_high.to_numpy(), measured),
                    "coverage_90": coverage(low.to_numpy(), high.to_numpy(), measured),
                }


def summarise(scores: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Each target's table: mean error over repetitions, and coverage where there are intervals."""
    found = {}
    for target, own in scores.groupby("target", sort=False):
        mean = own.groupby(["method", "rows"], sort=False)[["mape", "coverage_90"]].mean() * 100
        text = mean["mape"].map("{:.1f}".format)
        text += mean["coverage_90"].map(lambda share: "" if np.isnan(share) else f" ({share:.0f})")
        table = text.unstack("rows")
        found[str(target)] = table.loc[list(METHODS), list(COUNTS)].rename(columns=str).fillna("-")
    return found


def sum_up_choices(scores: pd.DataFrame) -> pd.DataFrame:
    """Mean over GPUs and repetitions."""
    grouped = scores.groupby(["choice", "rows"])
    return (100 * grouped[["mape", "expected_mape", "coverage_90", "typical_90"]].mean()).round(2)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=6)
    parser.add_argument("--configs", type=int, default=800)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--data", type=Path, default=data_file("vidur_mlp.parquet"))
    parser.add_argument("-o", "--output", type=Path, default=RESULTS / "layers.json")
    return parser.parse_args()


if __name__ == "__main__":
    main()
