"""Traces of a server whose step time is known, and a fit of models/vllm.toml to them."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd

from bayeslat.features.design import stage_inputs
from bayeslat.features.hardware import load_hardware
from bayeslat.features.spec import Spec, load_spec
from bayeslat.fitting import fit
from bayeslat.posterior import Posterior

SPEC_FILE = Path(__file__).parents[1] / "models" / "vllm.toml"
GPUS = ("a100_sxm", "h100_sxm", "l40s")
MODEL_KNOBS = {
    **{"layers": 36, "hidden": 4096, "heads": 32, "kv_heads": 8, "head_dim": 128},
    **{"intermediate": 12288, "dtype_bytes": 2},
}
SERVER_KNOBS = {
    **{"max_num_seqs": 128, "max_num_batched_tokens": 4096, "kv_block_tokens": 16},
    **{"kv_blocks": 20000},
}
SLOWDOWN = 1.3
NOISE_SD = 0.03


def make_batches(count: int, seed: int) -> pd.DataFrame:
    """Draw batches of a server: prompts, requests in decode, and both."""
    rng = np.random.default_rng(seed)
    prompts = rng.integers(0, 3, count)
    tokens = prompts * np.exp(rng.uniform(np.log(16), np.log(1000), count)).round()
    decode = np.exp(rng.uniform(0, np.log(100), count)).round() * (rng.random(count) < 0.9)
    decode = np.where((prompts == 0) & (decode == 0), 1, decode)
    context = decode * np.exp(rng.uniform(np.log(50), np.log(2000), count)).round()
    return pd.DataFrame(
        {
            "prefill_requests": prompts,
            "prefill_tokens": tokens,
            "prefill_attended_tokens": (tokens * tokens / (2 * np.maximum(prompts, 1))).round(),
            "decode_requests": decode,
            "decode_context_tokens": context,
            "running": decode,
            **MODEL_KNOBS,
            **SERVER_KNOBS,
        }
    ).astype(float)


def make_trace(rows: int, seed: int = 0) -> pd.DataFrame:
    """Draw steps, and requests of which some wait, on each GPU."""
    spec: Spec = load_spec(SPEC_FILE)
    table = load_hardware()
    parts: list[pd.DataFrame] = []
    for number, gpu in enumerate(GPUS):
        rng = np.random.default_rng([seed, number])
        steps = spec.complete(make_batches(rows, seed=100 * seed + number))
        terms = stage_inputs(spec, "step", steps, table.resolve(gpu)).terms_ms
        noise = np.exp(NOISE_SD * rng.standard_normal(rows))
        parts.append(steps.assign(gpu=gpu, t_step_ms=SLOWDOWN * terms.sum(axis=1) * noise))
        requests = steps.assign(
            gpu=gpu,
            waiting=rng.integers(0, 40, rows),
            kv_usage=rng.uniform(0, 1, rows),
            prompt_tokens=rng.integers(8, 1000, rows),
        )
        waits = requests["waiting"] > 5
        long = 20.0 * (1 + requests["waiting"]) * np.exp(0.2 * rng.standard_normal(rows))
        none = 0.03 * np.exp(0.2 * rng.standard_normal(rows))
        parts.append(requests.assign(t_queueing_ms=np.where(waits, long, none)))
    trace = pd.concat(parts, ignore_index=True).assign(stack="vllm_1", model="qwen3")
    return trace.assign(repeat=range(len(trace)))  # a small batch comes again


@lru_cache(maxsize=1)
def fitted_server() -> Posterior:
    """Fit models/vllm.toml to a server's traces."""
    return fit(load_spec(SPEC_FILE), make_trace(250), engine="laplace")
