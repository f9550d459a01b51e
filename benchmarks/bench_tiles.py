"""Tiles that the search finds in donors: what they bring on a GPU that it did not see.

The layers of `bench_layers`: each GPU is the target in turn, the two others are the donors. The
tile that `check --suggest-features` finds surest in the donors' rows is written into the spec; the
target is calibrated with random rows, with both specs.

    python -m benchmarks.bench_tiles [--repetitions 6] [--configs 800] [--data FILE] [-o FILE.json]
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

import bayeslat as bl
from bayeslat.evaluation.holdout import without_configs
from bayeslat.evaluation.measured import measured_latencies
from bayeslat.evaluation.metrics import coverage, mape
from bayeslat.evaluation.missing_features import find_missing_features
from bayeslat.evaluation.missing_features.tiles import Tile
from benchmarks.bench_layers import CANDIDATES, GPUS, read_layers
from benchmarks.common import RESULTS, data_file, machine, print_table, root, write_json

COUNTS = (5, 10, 25, 50)


def main() -> None:
    options = _options()
    spec = bl.load_spec(root("benchmarks/decoder_layer.toml"))
    frame = read_layers(options.data, options.configs)
    rows, tiles = [], {}
    for target in GPUS.values():
        found = find_tile(spec, frame[frame["gpu"] != target])
        tiles[target] = found
        size = int(found["expression"].rsplit(" ", 1)[1])
        tiled = Tile(found["term"], found["name"], size).applied(spec, found["stage"])
        for kind, used in (("as it is", spec), ("with the tile", tiled)):
            rows += list(score(used, frame, target, kind, options.repetitions))
    scores = pd.DataFrame(rows)
    grouped = scores.groupby(["spec", "target", "rows"])[["mape", "coverage_90"]].mean() * 100
    table = grouped["mape"].round(2).unstack("rows")
    print_table("MAPE %", table)
    mean = (scores.groupby(["spec", "rows"])[["mape", "coverage_90"]].mean() * 100).round(2)
    print_table("Mean over GPUs", mean)
    content = {
        "machine": machine(),
        "configs_of_a_gpu": options.configs,
        "repetitions": options.repetitions,
        "tiles": tiles,
        "summary": mean.reset_index().to_dict("records"),
        "scores": rows,
    }
    write_json(options.output, content)


def find_tile(spec: bl.Spec, donors: pd.DataFrame) -> dict[str, Any]:
    """Search the donors' rows for the tile that gains most."""
    posterior = bl.fit(spec, donors, engine="laplace")
    found = find_missing_features(posterior.data, donors, hardware=bl.load_hardware())
    best = next(each for each in found if each.kind == "tile" and each.sure)
    names = ("stage", "term", "name", "expression", "gain", "se", "error_before", "error_after")
    return {name: getattr(best, name) for name in names}


def score(
    spec: bl.Spec, frame: pd.DataFrame, target: str, kind: str, repetitions: int
) -> Iterator[dict[str, Any]]:
    """Calibrate with random rows."""
    entry = bl.load_hardware().resolve(target)
    for seed in range(repetitions):
        own = frame[frame["gpu"] == target].sample(frac=1.0, random_state=seed)
        test, candidates = own[CANDIDATES:], own[:CANDIDATES]
        measured = measured_latencies(spec, test, entry)["total"]
        trained = without_configs(frame[frame["gpu"] != target], test[list(spec.knobs)])
        posterior = bl.fit(spec, trained, engine="laplace", seed=seed)
        for count in COUNTS:
            calibrated = posterior.calibrate(candidates.head(count), target)
            found = calibrated.predict(test, gpu=target).frame
            point, low, high = (found[f"total_{name}_ms"] for name in ("point", "q05", "q95"))
            yield {
                "spec": kind,
                "target": target,
                "seed": seed,
                "rows": count,
                "mape": mape(point.to_numpy(), measured),
                "coverage_90": coverage(low.to_numpy(), high.to_numpy(), measured),
            }


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=6)
    parser.add_argument("--configs", type=int, default=800)
    parser.add_argument("--data", type=Path, default=data_file("vidur_mlp.parquet"))
    parser.add_argument("-o", "--output", type=Path, default=RESULTS / "tiles.json")
    return parser.parse_args()


if __name__ == "__main__":
    main()
