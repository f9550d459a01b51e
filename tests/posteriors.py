"""Small posteriors of simulated traces, for tests of what stands on a posterior."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np
import pandas as pd

from bayeslat.features.spec import Spec
from bayeslat.inference.fitting.fit import fit_posterior
from bayeslat.inference.posteriors.posterior import PosteriorData
from bayeslat.model.simulate import draw_parameters, simulate

SPEC_TEXT = """
name = "small"
knobs = ["batch_size", "context", "output_tokens"]

[architecture]
weights = 1e9

[stages.prefill]
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
memory = "2 * (weights + 1e5 * batch_size * context) / (mem_bw_GBps * 1e6)"
launch = "0.5"
"""
"""Two stages: one with a residual, one of physics alone."""

GPUS = ("a100_sxm", "h100_sxm", "h200_sxm")
"""One without relatives, two of a family."""


@lru_cache(maxsize=1)
def small_spec() -> Spec:
    """Return the spec."""
    return Spec.from_text(SPEC_TEXT)


def make_configs(count: int, seed: int = 0, tasks: tuple[str, ...] = ()) -> pd.DataFrame:
    """Draw configurations evenly in logs."""
    rng = np.random.default_rng(seed)
    configs = pd.DataFrame(
        {
            "batch_size": rng.choice([1, 2, 4, 8, 16], count),
            "context": np.exp(rng.uniform(np.log(64), np.log(4096), count)).round().astype(int),
            "output_tokens": rng.integers(1, 200, count),
        }
    )
    return configs.assign(task=rng.choice(tasks, count)) if tasks else configs


def make_frame(
    seed: int = 0,
    gpus: tuple[str, ...] = GPUS,
    rows: int = 40,
    stacks: tuple[str, ...] = (),
    tasks: tuple[str, ...] = (),
) -> pd.DataFrame:
    """Simulate a trace."""
    spec, configs = small_spec(), make_configs(rows, seed, tasks)
    truth = draw_parameters(spec, gpus, configs=configs, stacks=stacks, seed=seed)
    return simulate(spec, configs, gpus, stacks=stacks, parameters=truth, seed=seed)


@lru_cache(maxsize=8)
def make_data(
    gpus: tuple[str, ...] = GPUS,
    stacks: tuple[str, ...] = (),
    tasks: tuple[str, ...] = (),
    seed: int = 0,
) -> PosteriorData:
    """Fit a simulated trace by the Laplace engine."""
    return fit_posterior(
        small_spec(), make_frame(seed, gpus, stacks=stacks, tasks=tasks), engine="laplace"
    )


def with_noise_shared(data: PosteriorData, part: float) -> PosteriorData:
    """Say what part of the noise's variance is a configuration's own."""
    stages = {name: replace(each, noise_shared=part) for name, each in data.stages.items()}
    return replace(data, stages=stages)
