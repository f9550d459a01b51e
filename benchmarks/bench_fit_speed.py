"""Speed of a fit: NUTS and Laplace against the plain model under PyMC, and against more rows.

Every fit runs in a process of its own, with a warm compile cache, so imports and compiling count.

    python -m benchmarks.bench_fit_speed [--without-plain] [--data FILE] [-o FILE.json]

The plain model is the same hierarchy with every parameter a PyMC variable, given to `pm.sample`
with its default settings, one stage after the other (minutes).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.common import RESULTS, data_file, machine, print_table, write_json

GPUS = ("a100_sxm", "b200_sxm", "gb200", "h100_sxm", "h200_sxm", "l40s")
ROWS = (1, 10, 100)  # copies of each row

_PREAMBLE = """
import json, sys, time
start = time.perf_counter()
import numpy as np, pandas as pd
import bayeslat as bl
path, copies, engine, seed = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
frame = pd.read_parquet(path)
frame = frame[[name for name in frame if not name.startswith("true_")]]
frame = pd.concat([frame.assign(repeat=k) for k in range(copies)], ignore_index=True)
spec = bl.load_spec("models/vlm.toml")
"""

FIT = (
    _PREAMBLE
    + """
import nutpie, arviz_stats.base
import bayeslat.inference.engines.draw_stage as drawing, bayeslat.inference.fitting.fit as fitting
imported = time.perf_counter()
seconds = {}
def timed(module, name):
    step = getattr(module, name)
    def run(*args, **kwargs):
        begin = time.perf_counter()
        result = step(*args, **kwargs)
        seconds[name] = seconds.get(name, 0.0) + time.perf_counter() - begin
        return result
    setattr(module, name, run)
for name in ("plan_fit", "prepare_stage"):
    timed(fitting, name)
for name in ("sample_nuts", "sample_laplace", "diagnose"):
    timed(drawing, name)
posterior = bl.fit(spec, frame, engine=engine, seed=seed)
done = time.perf_counter()
stages = posterior.diagnostics.stages
print(json.dumps({
    "wall_s": done - start, "imports_s": imported - start, "fit_s": done - imported,
    "prepare_s": seconds["plan_fit"] + seconds["prepare_stage"],
    "sampling_s": seconds.get("sample_nuts", 0.0) + seconds.get("sample_laplace", 0.0),
    "diagnose_s": seconds["diagnose"],
    "rhat": max(s.rhat[0] for s in stages),
    "ess": min(min(s.ess_bulk[0], s.ess_tail[0]) for s in stages),
    "divergences": sum(s.divergences for s in stages), "converged": posterior.diagnostics.converged,
    "rows": len(frame),
}))
"""
)

_PLAIN = (
    _PREAMBLE
    + """
import pymc as pm
from bayeslat.inference.rows.plan import plan_fit
from bayeslat.inference.fitting.prepare import prepare_stage
from bayeslat.model.plain import build_plain
plan, stage = plan_fit(spec, frame), sys.argv[5]
prepared = prepare_stage(plan, stage)
model = build_plain(prepared.problem, prepared.regression.designs, prepared.regression.responses)
built = time.perf_counter()
with model:
    tree = pm.sample(random_seed=seed, progressbar=False)
done = time.perf_counter()
from arviz_stats import ess, rhat
low = min(float(v.min()) for v in ess(tree).data_vars.values())
high = max(float(v.max()) for v in rhat(tree).data_vars.values())
print(json.dumps({"sampling_s": done - built, "ess": low, "rhat": high}))
"""
)


def main() -> None:
    options = _options()
    fits = {}
    for engine, copies in (("nuts", 1), ("laplace", 1), ("nuts", 10), ("nuts", 100)):
        run_python(FIT, options.data, copies, engine) if copies == 1 else None  # fills the cache
        fits[f"{engine}, {copies}x rows"] = run_python(FIT, options.data, copies, engine)
    result: dict[str, Any] = {"machine": machine(), "fits": fits}
    print_table("Fit of 6 GPUs x 400 configs x 4 stages", pd.DataFrame(fits).T)
    if not options.without_plain:
        stages = ("vision_encoder", "projector", "llm_prefill", "llm_decode_per_token")
        plain = {s: run_python(_PLAIN, options.data, 1, "nuts", s) for s in stages}
        print_table("Plain model, pm.sample with its defaults", pd.DataFrame(plain).T)
        total = sum(each["sampling_s"] for each in plain.values())
        ours = fits["nuts, 1x rows"]["sampling_s"]
        result |= {"plain": plain, "plain_sampling_s": total, "times_faster": total / ours}
        print(f"\nsampling: {ours:.1f} s against {total:.1f} s: {total / ours:.1f} times faster")
    write_json(options.output, result)


def run_python(code: str, data: Path, copies: int, engine: str, *more: str) -> dict[str, Any]:
    """Run code in a fresh interpreter and read the JSON of its last line."""
    command = [sys.executable, "-c", code, str(data), str(copies), engine, "0", *more]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--without-plain", action="store_true", help="leave the slow rival out")
    parser.add_argument("--data", type=Path, default=data_file("vlm_stages.parquet"))
    parser.add_argument("-o", "--output", type=Path, default=RESULTS / "fit_speed.json")
    return parser.parse_args()


if __name__ == "__main__":
    main()
