"""Drift after a calibration from few rows: false alarms, and what is found, on measured data.

Each GPU is the target in turn: the others are fitted (Laplace), some of its configurations, by
chance, calibrate it, and others, where nothing has changed, are the window. In a part of the
windows one stage is then made slower. The decoder layers of `bench_layers`, whose noise is mostly
what the model misses of a configuration, and `vlm_stages`. Each window is judged as it is, and
again as if neighbouring configurations shared nothing.

    python -m benchmarks.bench_calibrated_drift [--repetitions 12] [-o FILE.json]
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pandas as pd

import bayeslat as bl
from bayeslat.evaluation.drift import row_errors
from bayeslat.features.spec import Spec
from benchmarks.bench_layers import read_layers
from benchmarks.common import RESULTS, data_file, machine, print_table, root, write_json

COUNTS = (10, 25, 50)
WINDOWS = (50, 200)
SLOWER = (1.05, 1.10, 1.20)
ALARM_RATE = 0.01
CONFIGS, FITTED = 800, 600  # of a GPU's decoder layers


def main() -> None:
    options = _options()
    found = pd.DataFrame(
        [
            {"data": name, **row}
            for name, (spec, frame) in _sources(options).items()
            for target in frame["gpu"].unique()[: options.targets]
            for row in judge_target(spec, frame, str(target), options.repetitions)
        ]
    )
    alarms = sum_up(found[found["slower"] == 1.0])
    power = sum_up(found[found["slower"] > 1.0])
    print_table("Calls that find a drift where nothing has changed", alarms)
    print_table("Calls that find a stage slower by a factor", power)
    content = {
        "machine": machine(),
        "alarm_rate": ALARM_RATE,
        "alarms": alarms.reset_index().to_dict("records"),
        "power": power.reset_index().to_dict("records"),
    }
    write_json(options.output, content)


def judge_target(
    spec: Spec, frame: pd.DataFrame, target: str, repetitions: int
) -> Iterator[dict[str, Any]]:
    """Fit the other GPUs, and calibrate and judge one again and again."""
    donors = frame[frame["gpu"] != target].groupby("gpu").head(FITTED).reset_index(drop=True)
    rows = frame[frame["gpu"] == target]
    posterior = bl.fit(spec, donors, engine="laplace")
    stage = next(iter(spec.stages))
    column = spec.stages[stage].column
    for repetition in range(repetitions):
        order = np.random.default_rng(repetition).permutation(len(rows))
        for count in COUNTS:
            chosen = rows.iloc[order[:count]].reset_index(drop=True)
            calibrated = posterior.calibrate(chosen, gpu=target, seed=repetition)
            for size in WINDOWS:
                window = rows.iloc[order[count : count + size]].reset_index(drop=True)
                about = {"rows": count, "window": size}
                yield from _judge(calibrated, window, {**about, "slower": 1.0}, None)
            for factor in SLOWER:
                moved = window.assign(**{column: window[column] * factor})
                yield from _judge(calibrated, moved, {**about, "slower": factor}, stage)


def _judge(
    posterior: bl.Posterior, window: pd.DataFrame, about: dict[str, Any], stage: str | None
) -> Iterator[dict[str, Any]]:
    """Tell whether a stage, or any, drifted: as the command does, and without neighbours."""
    alone = patch.object(row_errors, "estimate_misfit", lambda *_: None)
    for neighbours in (True, False):
        with nullcontext() if neighbours else alone:
            found = posterior.find_drift(window, alarm_rate=ALARM_RATE)
        stages = [each.stage for each in found.drifted]
        drifted = bool(stages) if stage is None else stage in stages
        yield {**about, "neighbours": neighbours, "found": drifted}


def sum_up(found: pd.DataFrame) -> pd.DataFrame:
    """Part of the calls that found a drift, with and without what neighbours share."""
    groups = found.groupby(["data", "slower", "rows", "window", "neighbours"])["found"]
    rates = groups.mean().unstack()
    rates.columns = ["as if alone", "with neighbours"]
    return rates.assign(calls=groups.size().unstack().iloc[:, 0])


def _sources(options: argparse.Namespace) -> dict[str, tuple[Spec, pd.DataFrame]]:
    layers = read_layers(options.layers, CONFIGS)
    layers = layers.sample(frac=1.0, random_state=0).reset_index(drop=True)
    stages = pd.read_parquet(options.data)
    seen = [name for name in stages.columns if not name.startswith("true_")]
    return {
        "decoder layers": (bl.load_spec(root("benchmarks/decoder_layer.toml")), layers),
        options.data.stem: (bl.load_spec(root("models/vlm.toml")), stages[seen]),
    }


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=12)
    parser.add_argument("--targets", type=int, default=3, help="GPUs of each of the data")
    parser.add_argument("--layers", type=Path, default=data_file("vidur_mlp.parquet"))
    parser.add_argument("--data", type=Path, default=data_file("vlm_stages.parquet"))
    parser.add_argument("-o", "--output", type=Path, default=RESULTS / "calibrated_drift.json")
    return parser.parse_args()


if __name__ == "__main__":
    main()
