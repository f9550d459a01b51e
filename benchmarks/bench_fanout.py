"""One fan-out on one process, on two, and on two Dask workers, of which one is killed at random.

Held-out-device cross-validation on the traces of this repository. A scheduler and workers are
started as processes of this machine, so both share its cores: ratios of time say what the cluster
costs, not what a larger one gains. Then, again and again, a worker is killed with SIGKILL at a
random moment of the run, and another one started.

    python -m benchmarks.bench_fanout [--repeats 2] [--kills 10] [--seed 0] [-o FILE.json]
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from threading import Timer
from typing import Any

import numpy as np
import pandas as pd

import bayeslat as bl
from bayeslat.evaluation.crossval import cross_validate
from benchmarks.common import RESULTS, machine, print_table, root, write_json
from tests.clusters import Cluster, cluster

_DONORS = ("milan_1t_fp32", "milan_1t_bf16", "milan_2t_fp32")
_NUMBERS = ["mape", "coverage_90", "width_90"]


def main() -> None:
    options = _options()
    spec = bl.load_spec(root("models/tiny_vlm.toml"))
    traces = bl.read_traces(str(root("traces/milan_*.parquet")))

    def score(**where: Any) -> pd.DataFrame:
        found = cross_validate(spec, traces, donors=_DONORS, counts=(0, 10), splits=1, **where)
        return found.scores

    base = score()  # and compiles
    with tempfile.TemporaryDirectory() as folder, cluster(Path(folder)) as workers:
        ways: dict[str, dict[str, Any]] = {
            "one process": {},
            "two processes (joblib)": {"jobs": 2},
            "two Dask workers": {"engine_address": workers.address},
        }
        seconds: dict[str, list[float]] = {}
        difference: dict[str, float] = {}
        for way, where in [*ways.items()] * options.repeats:  # by turns: others use the machine
            found, took = _timed(lambda where=where: score(**where))  # type: ignore[misc]
            seconds.setdefault(way, []).append(took)
            difference[way] = max(difference.get(way, 0.0), _difference(base, found))
        rng = np.random.default_rng(options.seed)
        usual = min(seconds["two Dask workers"])
        kills: list[dict[str, Any]] = []
        while sum(each["in_the_run"] for each in kills) < options.kills:
            again = _with_kill(
                workers,
                lambda: score(engine_address=workers.address),
                base,
                rng.uniform(0.05, 0.95),
                usual,
            )
            kills.append(again)
    fastest = {way: min(each) for way, each in seconds.items()}
    table = pd.DataFrame(
        {
            "seconds": fastest,
            "of one process": {w: s / fastest["one process"] for w, s in fastest.items()},
            "difference": difference,
        }
    )
    print_table("Cross-validation of three donors, 6 fits", table.round(2).astype(object))
    lost = pd.DataFrame(kills)
    print_table("A worker killed at a random moment", lost)
    record = {
        "machine": machine(),
        "load": os.getloadavg(),
        "seconds": seconds,
        "ratios": {way: each / fastest["one process"] for way, each in fastest.items()},
        "largest_relative_difference": difference,
        "kills": kills,
    }
    write_json(options.output, record)
    print(f"\nWritten to {options.output}")


def _timed(call: Callable[[], pd.DataFrame]) -> tuple[pd.DataFrame, float]:
    started = time.perf_counter()
    found = call()
    return found, time.perf_counter() - started


def _with_kill(
    workers: Cluster,
    call: Callable[[], pd.DataFrame],
    base: pd.DataFrame,
    share: float,
    usual_s: float,
) -> dict[str, Any]:
    """Kill one of the two workers at a share of the usual time, and start another."""
    killed_at: list[float] = []

    def replace() -> None:
        workers.kill(workers.workers.pop(0))
        killed_at.append(time.perf_counter())
        workers.add_worker()

    timer = Timer(share * usual_s, replace)
    timer.start()
    found, took = _timed(call)
    ended = time.perf_counter()
    timer.join()
    workers.await_workers(2)
    return {
        "killed_at_s": round(share * usual_s, 2),
        "in_the_run": killed_at[0] < ended,
        "seconds": round(took, 2),
        "of_usual": round(took / usual_s, 2),
        "difference": _difference(base, found),
    }


def _difference(base: pd.DataFrame, found: pd.DataFrame) -> float:
    """Largest relative difference of any score."""
    keys = [name for name in base if name not in _NUMBERS]
    pd.testing.assert_frame_equal(base[keys], found[keys])
    a, b = base[_NUMBERS].to_numpy(float), found[_NUMBERS].to_numpy(float)
    return float(np.max(np.abs(a - b) / np.maximum(np.abs(a), 1e-300)))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", "--output", type=Path, default=RESULTS / "fanout.json")
    return parser.parse_args()


if __name__ == "__main__":
    main()
