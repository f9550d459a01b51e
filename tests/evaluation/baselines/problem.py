"""A small transfer problem: two donors and a target, whose latencies have a closed form."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayeslat.evaluation.baselines import Donors
from bayeslat.features.gpu import Gpu
from bayeslat.features.hardware import load_hardware
from bayeslat.features.spec import Spec

SPEC = Spec.from_text("""
name = "small"
knobs = ["batch_size", "context", "output_tokens"]

[architecture]
weights = 1e9

[stages.prefill]
[stages.prefill.physics]
compute = "2 * batch_size * context * weights / (bf16_tflops * 1e9)"
launch = "2.0"

[stages.decode]
times = "output_tokens - 1"
[stages.decode.physics]
memory = "2 * (weights + 1e5 * batch_size * context) / (mem_bw_GBps * 1e6)"
launch = "0.5"
""")

DONORS = ("a100_sxm", "h100_sxm")
SOURCE = "h100_sxm"
TARGET = "l40s"
NOISE = 0.02

# How much slower than the data sheet each stage's work runs, by GPU.
_SLOWNESS = {"a100_sxm": (1.4, 1.2), "h100_sxm": (1.6, 1.3), "l40s": (2.0, 1.1)}


def gpu(key: str = TARGET) -> Gpu:
    return load_hardware().resolve(key)


def make_configs(count: int, seed: int = 0, tasks: bool = False) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    configs = pd.DataFrame(
        {
            "batch_size": rng.choice([1, 2, 4, 8, 16], count),
            "context": np.exp(rng.uniform(np.log(64), np.log(4096), count)).round().astype(int),
            "output_tokens": rng.integers(1, 200, count),
        }
    )
    return configs.assign(task=rng.choice(["captioning", "qa"], count)) if tasks else configs


def truth(configs: pd.DataFrame, key: str = TARGET) -> dict[str, NDArray[np.float64]]:
    """Latency of each stage without noise."""
    sheet, (compute, memory) = gpu(key), _SLOWNESS[key]
    tokens = (configs["batch_size"] * configs["context"]).to_numpy(float)
    longer = 1.1 if "task" not in configs else 1.0 + 0.2 * (configs["task"] == "qa").to_numpy()
    assert sheet.bf16_tflops is not None
    prefill = compute * 2 * tokens / sheet.bf16_tflops * longer + 3.0
    decode = memory * 2 * (1e9 + 1e5 * tokens) / (sheet.mem_bw_GBps * 1e6) + 0.5
    return {"prefill": prefill, "decode": decode}


def true_total(configs: pd.DataFrame, key: str = TARGET) -> NDArray[np.float64]:
    latency = truth(configs, key)
    total: NDArray[np.float64] = (
        latency["prefill"] + (configs["output_tokens"].to_numpy() - 1) * latency["decode"]
    )
    return total


def measure(
    configs: pd.DataFrame, key: str = TARGET, *, seed: int = 0, noise: float = NOISE
) -> pd.DataFrame:
    """Add the latencies of one run."""
    rng = np.random.default_rng([seed, len(key)])
    runs = {
        f"t_{stage}_ms": latency * np.exp(noise * rng.standard_normal(len(configs)))
        for stage, latency in truth(configs, key).items()
    }
    return configs.assign(gpu=key, **runs)


def make_donors(
    *, seed: int = 0, rows: int = 60, tasks: bool = False, noise: float = NOISE
) -> Donors:
    configs = make_configs(rows, seed=7, tasks=tasks)
    traces = pd.concat([measure(configs, key, noise=noise) for key in DONORS], ignore_index=True)
    return Donors(SPEC, traces, SOURCE, load_hardware(), seed=seed)


@lru_cache(maxsize=4)
def shared_donors(twin: int = 0, tasks: bool = False) -> Donors:
    """Return donors whose source models are fitted once; `twin` makes equal ones anew."""
    return make_donors(tasks=tasks)
