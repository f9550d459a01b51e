"""A transfer problem of a server: steps and queues, linear in what the notes regress on."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayeslat.evaluation.baselines import Donors
from bayeslat.features.hardware import load_hardware
from bayeslat.features.spec import load_spec
from tests.evaluation.baselines.problem import DONORS, NOISE, SOURCE, TARGET, gpu

SPEC = load_spec(Path(__file__).parents[3] / "models" / "vllm.toml")
MODEL = {
    "layers": 32, "hidden": 4096, "heads": 32, "kv_heads": 8, "head_dim": 128,
    "intermediate": 14336, "experts": 8, "experts_per_token": 2, "moe_intermediate": 14336,
    "dtype_bytes": 2, "max_num_seqs": 256, "max_num_batched_tokens": 8192, "kv_blocks": 20000,
    "kv_block_tokens": 16,
}  # fmt: skip
# How much slower than the data sheet a step's prefill and decode, and a place in the queue, are.
_SLOWNESS = {"a100_sxm": (1.4, 1.2, 1.3), "h100_sxm": (1.6, 1.3, 1.2), "l40s": (2.0, 1.1, 1.5)}


def make_configs(count: int, seed: int = 0, tasks: bool = False) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    configs = pd.DataFrame(
        {
            "prefill_tokens": rng.choice([0, 8, 64, 256, 1024], count),
            "prefill_requests": rng.integers(1, 4, count),
            "decode_requests": rng.integers(1, 120, count),
            "running": rng.integers(0, 120, count),
            "waiting": rng.integers(0, 12, count),
            "waiting_prompt_tokens": rng.integers(0, 9000, count),
            "kv_usage": rng.uniform(0.05, 0.99, count).round(3),
            "prompt_tokens": rng.integers(16, 4000, count),
        }
    )
    configs = SPEC.complete(configs.assign(**MODEL))
    return configs.assign(task=rng.choice(["chat", "batch"], count)) if tasks else configs


def truth(configs: pd.DataFrame, key: str = TARGET) -> dict[str, NDArray[np.float64]]:
    """Latency of each stage without noise."""
    sheet, (prefill, decode, place) = gpu(key), _SLOWNESS[key]
    tokens, requests = (configs[name].to_numpy() for name in ("prefill_tokens", "decode_requests"))
    waiting = configs["waiting"].to_numpy()
    step = 0.5 + prefill * 16.0 * tokens / sheet.peak_tflops
    step = step + decode * 120.0 * requests / sheet.mem_bw_GBps
    return {"step": step, "queueing": 2.0 + place * 4000.0 * waiting / sheet.peak_tflops}


def true_total(configs: pd.DataFrame, key: str = TARGET) -> NDArray[np.float64]:
    total: NDArray[np.float64] = np.sum(list(truth(configs, key).values()), axis=0)
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


def make_donors(*, rows: int = 300, tasks: bool = False, noise: float = NOISE) -> Donors:
    configs = make_configs(rows, seed=7, tasks=tasks)
    traces = pd.concat([measure(configs, key, noise=noise) for key in DONORS], ignore_index=True)
    return Donors(SPEC, traces, SOURCE, load_hardware())


@lru_cache(maxsize=4)
def shared_donors(twin: int = 0, tasks: bool = False) -> Donors:
    """Return the same donors to all who ask; `twin` makes equal ones anew."""
    return make_donors(tasks=tasks)
