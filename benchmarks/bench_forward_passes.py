"""Steps of vLLM on a GPU that this project never had: Qwen3-32B on 1, 2, 4 and 8 B300.

The public files are `fpm_golden_runs/fpm_upfront_qwen32_full_once_20260613_194007` of
ai-dynamo/aiconfigurator (Apache-2.0; vLLM 0.20.1), one `fpm_metrics_detail.csv` for each degree of
tensor parallelism: what each forward pass computed, and its latency. They are not shipped. The
results here are of some 1200 of their rows, all with prompts and every fifth or so of the others.

Each degree is a group, and is held out in turn. Its donors are the three others; or the servers of
`traces/vllm`, tiny models on a CPU. Its rows are random ones, or chosen (`suggest`). Boosted trees
learn from the random ones alone.

    python -m benchmarks.bench_forward_passes [--data DIR] [--splits 5] [-o FILE.json]
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import bayeslat as bl
from bayeslat.evaluation.metrics import coverage, mape
from benchmarks.bench_vllm import train_trees
from benchmarks.common import RESULTS, data_file, machine, print_table, root, write_json

GPU, STACK = "b300_sxm", "vllm_0.20.1"
KV_BLOCKS = {1: 45_191, 2: 104_970, 4: 224_988, 8: 465_805}  # by the degree of tensor parallelism
SERVER = {
    **{"layers": 64, "hidden": 5120, "heads": 64, "kv_heads": 8, "head_dim": 128},
    **{"intermediate": 25_600, "dtype_bytes": 2, "kv_block_tokens": 16},
    **{"max_num_seqs": 1024, "max_num_batched_tokens": 8192},
}
# Pairs of passes whose time was cut in the wrong place, and a first pass, which compiles.
GARBLED = {1: (1104, 1105, 1396, 1397), 2: (1093,), 4: (), 8: (1047,)}
COUNTS = (0, 5, 10, 25, 100)
CHOSEN = 25  # of the 100
OF_SWEEP = 4096  # tokens of a prompt in the sweeps


def main() -> None:
    options = _options()
    spec = bl.load_spec(root("models/vllm.toml")).only(["step"])
    groups = {degree: spec.complete(read_passes(options.data, degree)) for degree in KV_BLOCKS}
    cpus = spec.complete(bl.read_traces(str(root("traces/vllm/*.parquet"))))
    cpus = cpus[cpus["t_step_ms"].notna()]
    rows = []
    for degree, own in groups.items():
        others = pd.concat([group for each, group in groups.items() if each != degree])
        for donors, trace in (("the other degrees", others), ("models on a CPU", cpus)):
            posterior = bl.fit(spec, trace, engine="laplace")
            for row in score_donors(posterior, own, options.splits):
                rows += [{"degree": degree, "donors": donors, **row}]
        rows += [
            {"degree": degree, "donors": "none", **row} for row in score_trees(own, options.splits)
        ]
    table = pd.DataFrame(rows)
    for score in ("mape", "mape_with_prompts", "coverage_90"):
        for by in (["donors", "method", "degree"], ["donors", "method"]):
            print_table(score, table.pivot_table(score, by, "rows").round(3))
    content = {
        "splits": options.splits,
        "machine": machine(),
        "passes": {degree: len(own) for degree, own in groups.items()},
        "scores": table.round(5).to_dict("records"),
    }
    write_json(options.output, content)


def read_passes(folder: Path, degree: int) -> pd.DataFrame:
    """Read the passes of one server as rows of `models/vllm.toml`."""
    passes = pd.read_csv(folder / f"tp{degree}_ep1_past4096" / "fpm_metrics_detail.csv")
    passes = passes[~passes["counter_id"].isin(GARBLED[degree])].reset_index(drop=True)
    return pd.DataFrame(
        {
            "gpu": GPU,
            "stack": f"{STACK}_tp{degree}",
            "model": "qwen3_32b",
            "tensor_parallel": degree,
            "kv_blocks": KV_BLOCKS[degree],
            **SERVER,
            "prefill_requests": passes["num_prefill_requests"],
            "prefill_tokens": passes["sum_prefill_tokens"],
            "prefill_attended_tokens": attended_tokens(passes),
            "decode_requests": passes["num_decode_requests"],
            "decode_context_tokens": passes["sum_decode_kv_tokens"],
            "step_id": passes["counter_id"],
            "t_step_ms": passes["latency_ms"],
        }
    )


def attended_tokens(passes: pd.DataFrame) -> np.ndarray:
    """Tokens that prompt tokens attend to, from sums over the prompts.

    One prompt at most goes on from what is in the cache. It is taken to end in this pass if there
    are others, which share the rest alike.
    """
    tokens, prompts, cached = (
        passes[name].to_numpy(float)
        for name in ("sum_prefill_tokens", "num_prefill_requests", "sum_prefill_kv_tokens")
    )
    goes_on = cached > 0
    rest_of_prompt = np.clip(OF_SWEEP - cached, 1.0, tokens)
    first = np.where(goes_on, np.where(prompts > 1, rest_of_prompt, tokens), 0.0)
    whole = np.maximum(prompts - goes_on, 1.0)
    each = (tokens - first) / whole
    return np.asarray(first * (cached + first / 2) + whole * each**2 / 2)


def score_donors(donors: bl.Posterior, own: pd.DataFrame, splits: int) -> Iterator[dict[str, Any]]:
    """Calibrate a held-out group with some of its passes, random or chosen, and score others."""
    stack = own["stack"].iloc[0]
    for split, pool, test in split_rows(own, splits):
        batch = donors.suggest(pool.drop(columns="t_step_ms"), GPU, CHOSEN, stack=stack, seed=split)
        for method, rows in (("random", pool), ("chosen", pool.loc[batch.frame.index])):
            for count in COUNTS:
                if count > len(rows):
                    continue
                known = rows.head(count)
                posterior = donors.calibrate(known, gpu=GPU, stack=stack) if count else donors
                frame = posterior.predict(test, GPU, stack=stack).frame
                point, low, high = (
                    frame[f"step_{name}_ms"].to_numpy() for name in ("point", "q05", "q95")
                )
                covers = coverage(low, high, test["t_step_ms"].to_numpy())
                told = {"method": method, "split": split, "rows": count, "coverage_90": covers}
                yield {**told, **_errors(point, test)}


def score_trees(own: pd.DataFrame, splits: int) -> Iterator[dict[str, Any]]:
    """Train trees on the random passes."""
    for split, pool, test in split_rows(own, splits):
        for count in COUNTS[1:]:
            found = _errors(train_trees(pool.head(count), test), test)
            yield {"method": "boosted trees", "split": split, "rows": count, **found}


def split_rows(own: pd.DataFrame, splits: int) -> Iterator[tuple[int, pd.DataFrame, pd.DataFrame]]:
    """Split number, passes to calibrate with in a random order, and those that test."""
    for split in range(splits):
        mixed = own.sample(frac=1.0, random_state=split)
        yield split, mixed.head(max(COUNTS)), mixed[max(COUNTS) :]


def _errors(point: np.ndarray, test: pd.DataFrame) -> dict[str, float]:
    latency = test["t_step_ms"].to_numpy()
    decodes = (test["prefill_tokens"] == 0).to_numpy()
    return {
        "mape": mape(point, latency),
        "mape_decode": mape(point[decodes], latency[decodes]),
        "mape_with_prompts": mape(point[~decodes], latency[~decodes]),
    }


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=data_file("forward_passes"))
    parser.add_argument("--splits", type=int, default=5)
    parser.add_argument("-o", "--output", type=Path, default=RESULTS / "forward_passes.json")
    return parser.parse_args()


if __name__ == "__main__":
    main()
