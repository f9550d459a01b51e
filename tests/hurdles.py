"""Traces of a stage with a hurdle, from known parameters."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.special import expit

from bayeslat.features.spec import Spec

SPEC = Spec.from_text(
    """
name = "queue"
knobs = ["waiting", "usage"]
[stages.queueing]
[stages.queueing.hurdle]
above_ms = 1.0
features = ["waiting", "usage"]
[stages.queueing.physics]
steps = "10"
work = "5 * waiting / bf16_tflops"
[stages.step.physics]
launch = "4"
compute = "100 * (1 + waiting) / bf16_tflops"
"""
)
GPUS = ("a100_sxm", "h100_sxm", "l40s", "h200_sxm")
SHARED = np.array([0.5, 2.0, 1.0])  # on the logit, features on [-1, 1]
BELOW_MS, BELOW_SD, NOISE_SD = 0.03, 0.2, 0.1


def effects_of(seed: int, spread: float, groups: int = len(GPUS)) -> np.ndarray:
    """Effects of each GPU on the logit. Shape (gpu, column)."""
    rng = np.random.default_rng([seed, 1])
    return SHARED + spread * rng.standard_normal((groups, len(SHARED)))


def make_trace(
    rows: int, effects: np.ndarray, seed: int = 0, gpus: Sequence[str] = GPUS
) -> pd.DataFrame:
    """Draw rows of each GPU: a queue that is empty at times."""
    rng = np.random.default_rng([seed, 2])
    parts = []
    for gpu, own in zip(gpus, effects, strict=True):
        # The ends of the range are there, so that features scale as the effects are meant.
        waiting = np.concatenate([[0.0, 20.0], rng.uniform(0, 20, rows - 2)])
        usage = np.concatenate([[0.0, 1.0], rng.uniform(0, 1, rows - 2)])
        logit = own @ np.stack([np.ones(rows), waiting / 10 - 1, 2 * usage - 1])
        above = rng.random(rows) < expit(logit)
        queue = 15 * (1 + 0.1 * waiting) * np.exp(NOISE_SD * rng.standard_normal(rows))
        none = BELOW_MS * np.exp(BELOW_SD * rng.standard_normal(rows))
        parts.append(
            pd.DataFrame(
                {
                    "gpu": gpu,
                    "waiting": waiting,
                    "usage": usage,
                    "t_queueing_ms": np.where(above, queue, none),
                    "t_step_ms": (4 + 0.5 * waiting) * np.exp(0.05 * rng.standard_normal(rows)),
                }
            )
        )
    return pd.concat(parts, ignore_index=True)
