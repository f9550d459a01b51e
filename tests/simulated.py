"""Traces simulated from a full spec, with the GPUs' true efficiencies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayeslat.features.design import linearise, stage_inputs
from bayeslat.features.hardware import load_hardware
from bayeslat.features.residual import span_basis
from bayeslat.features.spec import Spec

SPEC = Spec.from_text("""
name = "small"
description = "Two stages of a model of a billion weights"
knobs = ["batch_size", "context", "output_tokens"]

[architecture]
weights = 1e9

[stages.prefill]
times = "1"
[stages.prefill.physics]
compute = "2 * batch_size * context * weights / (bf16_tflops * 1e9)"
memory = "2 * weights / (mem_bw_GBps * 1e6)"
launch = "2.0"
[stages.prefill.residual]
features = ["log(context)"]
degree = 2

[stages.decode]
times = "output_tokens"
[stages.decode.physics]
cache = "2e5 * batch_size * context / (mem_bw_GBps * 1e6)"
launch = "0.5"
sequences = { ms = "0.5 * batch_size", kind = "per_sequence" }
[stages.decode.residual]
features = ["log(batch_size)"]
degree = 2
""")

GPUS = ("a100_sxm", "a30", "h100_sxm", "h200_sxm", "l40s", "b200_sxm")
"""Two generations with relatives, two GPUs without."""


@dataclass(frozen=True)
class SimulatedTrace:
    """A trace, and the log efficiency of every term on every GPU that it came from."""

    frame: pd.DataFrame
    efficiency: Mapping[str, NDArray[np.float64]]  # stage -> shape: (gpu, term)


def simulate_trace(
    seed: int,
    *,
    gpus: Sequence[str] = GPUS,
    rows: int = 60,
    offset_sd: float = 0.15,
    noise: float = 0.03,
    residual: float = 0.05,
) -> SimulatedTrace:
    """Draw efficiencies and smooth corrections, then latencies: additive physics, not linearised.

    Parameters
    ----------
    seed : int
    gpus : sequence of str
    rows : int
        Configurations, the same on every GPU.
    offset_sd, noise, residual : float
        Sds in log latency: of efficiencies between GPUs, of a run, and of the corrections' columns.
    """
    rng = np.random.default_rng(seed)
    configs = _configs(rng, rows)
    table = load_hardware()
    latencies: dict[str, list[NDArray[np.float64]]] = {stage: [] for stage in SPEC.stages}
    efficiency = {}
    for stage, part in SPEC.stages.items():
        priors = [SPEC.priors[term.kind] for term in part.physics.values()]
        shared = np.log([prior.slowdown for prior in priors]) + rng.normal(0, 0.1, len(priors))
        efficiency[stage] = shared + rng.normal(0, offset_sd, (len(gpus), len(priors)))
        bend = residual * rng.standard_normal(2)
        for name, log_efficiency in zip(gpus, efficiency[stage], strict=True):
            inputs = stage_inputs(SPEC, stage, configs, table.resolve(name))
            assert part.residual is not None
            features = [feature.text for feature in part.residual.features]
            basis = span_basis(features, part.residual.degree, inputs.raw)
            log_ms, design = linearise(log_efficiency, inputs, basis).design(inputs, basis)
            own = bend + 0.3 * residual * rng.standard_normal(2)
            smooth = design[:, len(priors) :] @ own
            latencies[stage].append(np.exp(log_ms + smooth + noise * rng.standard_normal(rows)))
    frame = pd.concat([configs.assign(gpu=name) for name in gpus], ignore_index=True)
    columns = {SPEC.stages[stage].column: np.concatenate(ms) for stage, ms in latencies.items()}
    return SimulatedTrace(frame.assign(**columns), efficiency)


def spoil(frame: pd.DataFrame, share: float, factor: float, seed: int) -> pd.DataFrame:
    """Multiply a share of each stage's latencies by a gross factor."""
    rng = np.random.default_rng(seed)
    columns = [part.column for part in SPEC.stages.values()]
    bad = rng.uniform(size=(len(frame), len(columns))) < share
    return frame.assign(
        **{name: frame[name] * np.where(bad[:, i], factor, 1.0) for i, name in enumerate(columns)}
    )


def _configs(rng: np.random.Generator, rows: int) -> pd.DataFrame:
    """Configurations over three decades of work, so that every term leads somewhere."""
    return pd.DataFrame(
        {
            "batch_size": 2 ** rng.integers(0, 6, rows),
            "context": np.round(2 ** rng.uniform(5, 13, rows)).astype(int),
            "output_tokens": rng.integers(16, 256, rows),
        }
    )
