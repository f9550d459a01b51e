"""What a person waits for: `--help`, and `predict` on 10 000 configurations, start-up included.

    python -m benchmarks.bench_command_line [--repeats 5] [-o FILE.json]

Uses the shipped traces: a posterior of three devices, and their knob ranges.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

import bayeslat as bl
from benchmarks.common import RESULTS, machine, print_table, root, write_json

SPEC = root("models/tiny_vlm.toml")
DONORS = ("milan_1t_fp32", "milan_1t_bf16", "milan_2t_fp32")
CONFIGS = 10_000


def main() -> None:
    options = _options()
    with tempfile.TemporaryDirectory() as folder:
        posterior, configs = prepare(Path(folder))
        out = Path(folder) / "predictions.parquet"
        command = ["predict", str(posterior), str(configs), "--gpu", DONORS[0], "-o", str(out)]
        runs = {
            "--help": ["--help"],
            "predict --help": ["predict", "--help"],
            "predict, 10 000 configs, fitted GPU": command,
            "predict, 10 000 configs, budget": [*command, "--budget-ms", "200"],
            "predict, 10 000 configs, zero-shot GPU": [
                *(word if word != DONORS[0] else "milan_2t_bf16" for word in command)
            ],
        }
        seconds = {name: time_command(words, options.repeats) for name, words in runs.items()}
    table = pd.DataFrame(seconds, index=["median_s", "least_s"]).T.round(3)
    print_table("Command line, start-up included", table)
    write_json(options.output, {"machine": machine(), "seconds": table.to_dict("index")})


def prepare(folder: Path) -> tuple[Path, Path]:
    """Fit a posterior, and draw configurations from the knob values of the traces."""
    frame = bl.read_traces(*(root(f"traces/{gpu}.parquet") for gpu in DONORS))
    spec = bl.load_spec(SPEC)
    posterior = bl.fit(spec, frame, engine="laplace")
    posterior.save(folder / "posterior.nc")
    rng = np.random.default_rng(0)
    configs = pd.DataFrame({knob: rng.choice(frame[knob], CONFIGS) for knob in spec.knobs})
    configs.to_parquet(folder / "configs.parquet")
    return folder / "posterior.nc", folder / "configs.parquet"


def time_command(words: list[str], repeats: int) -> tuple[float, float]:
    """Median and least wall time of a command in a fresh process."""
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "bayeslat", *words], check=True, stdout=subprocess.DEVNULL
        )
        seconds.append(time.perf_counter() - start)
    return float(np.median(seconds)), min(seconds)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("-o", "--output", type=Path, default=RESULTS / "command_line.json")
    return parser.parse_args()


if __name__ == "__main__":
    main()
