"""PICF, MoLE-RD, HFD-TL and ARD beside this project's model, on the vLLM traces of `traces/vllm`.

One device is held out, the others are donors. In each repetition 300 steps and 300 requests of it
are tested, and N steps and N requests calibrate, of those that are left (more steps where there are
fewer requests: the tables have the rows of their stage); a donor's row of a tested configuration is
not used. Errors of queueing are those of the requests that waited for more than
1 ms, given that they do: every method learns from such requests, and is asked about them.

    python -m benchmarks.bench_serving_baselines [--target genoa_2t_fp32] [--repetitions 5]
        [--counts 0,25,200,1000] [--tested 300] [--jobs 1] [-o FILE.json]
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd

import bayeslat as bl
from bayeslat.evaluation.comparison import HIERARCHICAL, CompareOptions, compare
from bayeslat.evaluation.comparison.answers import transfer_curves
from bayeslat.evaluation.holdout import above_hurdles, hold_out
from bayeslat.features.admit import admit
from bayeslat.features.spec import Spec
from benchmarks.common import RESULTS, machine, print_table, root, write_json

METHODS = (
    HIERARCHICAL, "hfd_tl_ridge", "hfd_tl_ard", "picf", "picf_relative", "mole_rd",
    "mole_rd_relative", "boosted_trees", "ridge",
)  # fmt: skip
STAGES = ("step", "queueing")


def main() -> None:
    options = _options()
    spec, table = bl.load_spec(root("models/vllm.toml")), bl.load_hardware()
    files = sorted(options.traces.glob("*.parquet"))
    frame = admit(bl.read_traces(*files, check=False), spec, table)
    donors = tuple(gpu for gpu in sorted(frame["gpu"].unique()) if gpu != options.target)
    counts = tuple(map(int, options.counts.split(",")))
    chosen = CompareOptions(
        target=options.target,
        donors=donors,
        source=options.source or donors[-1],
        methods=METHODS,
        counts=tuple(2 * count for count in counts),  # steps and requests take turns
        repetitions=options.repetitions,
        test_configs=2 * options.tested,
    )
    began = time.perf_counter()
    found = compare(spec, frame, chosen, hardware=table, jobs=options.jobs)
    rows = _rows(spec, frame, chosen)
    errors = {stage: _errors(found, stage, rows["calibrating"]) for stage in STAGES}
    for stage, of_stage in errors.items():
        print_table(f"{stage}: MAPE % on {options.target} by rows of the stage", of_stage)
    content = {
        "command": " ".join(["python -m benchmarks.bench_serving_baselines", *sys.argv[1:]]),
        "machine": machine(),
        "seconds": round(time.perf_counter() - began),
        "seed": chosen.seed,
        "repetitions": chosen.repetitions,
        "target": chosen.target,
        "donors": donors,
        "source": chosen.source,
        "traces": [path.name for path in files],
        "rows": rows,
        "mape_percent": {stage: of_stage.to_dict("index") for stage, of_stage in errors.items()},
        "coverage_90": {stage: _coverage(found, stage) for stage in STAGES},
        "skipped": found.skipped,
        "scores": found.scores.astype(object).where(found.scores.notna(), None).to_dict("records"),
    }
    write_json(options.output, content)


def _errors(found: Any, stage: str, held: dict[str, dict[str, int]]) -> pd.DataFrame:
    """Mean MAPE over the repetitions, and its range; methods by rows of the stage."""
    table = {}
    for curve in transfer_curves(found, stage):
        table[curve.method] = {
            str(held[str(int(row["rows"]))][stage]): f"{100 * row['mape']:.1f} "
            f"({100 * row['mape_low']:.1f}-{100 * row['mape_high']:.1f})"
            for _, row in curve.table.iterrows()
        }
    return pd.DataFrame.from_dict(table, orient="index").fillna("-")


def _coverage(found: Any, stage: str) -> dict[str, dict[str, float]]:
    """How often 90 % intervals hold, of methods that have them."""
    return {
        curve.method: {
            str(int(row["rows"])): round(row["coverage_90"], 3) for _, row in curve.table.iterrows()
        }
        for curve in transfer_curves(found, stage)
        if curve.table["coverage_90"].notna().any()
    }


def _rows(spec: Spec, frame: pd.DataFrame, options: CompareOptions) -> dict[str, Any]:
    """Count what was tested, and what calibrated, in the first repetition."""
    gpu = bl.load_hardware().resolve(options.target)
    own = frame[frame["gpu"] == options.target]
    held = hold_out(spec, own, gpu, options.test_configs, [options.seed, 0])
    judged = above_hurdles(spec, held)
    column = {stage: spec.stages[stage].column for stage in STAGES}
    return {
        "tested": {stage: int((judged.run_ms[stage] > 0).sum()) for stage in STAGES},
        "calibrating": {
            str(count): {
                **{s: int(held.pool[:count][column[s]].notna().sum()) for s in STAGES},
                "queueing above 1 ms": int((held.pool[:count][column["queueing"]] > 1.0).sum()),
            }
            for count in options.counts
        },
        "left": len(held.pool),
    }


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--target", default="genoa_2t_fp32")
    parser.add_argument("--source", default="genoa_1t_fp32")
    parser.add_argument("--counts", default="0,25,200,1000")
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--tested", type=int, default=300)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--traces", type=Path, default=root("traces/vllm"))
    parser.add_argument("-o", "--output", type=Path, default=RESULTS / "serving_baselines.json")
    return parser.parse_args()


if __name__ == "__main__":
    main()
