"""What the notes on serving regress on: their symbols, from a spec's names and the data sheet.

A spec observes a symbol where it has a knob, a constant or a quantity of the name given here. The
others are 0, and so is what is divided by one of those, as the notes have it. Sizes enter in the
units of the data sheet (TFLOP/s, GB/s), without a change: coefficients take them up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayeslat.features.expressions import Expression
from bayeslat.features.hardware import Gpu
from bayeslat.features.spec import Spec

__all__ = ["QUEUEING", "STEP", "evaluate_features", "missing_inputs", "serving_symbols"]

type Values = NDArray[np.float64]

QUEUEING = "queueing"
"""The stage that the notes call alpha: SCHEDULED - QUEUED of a request."""
STEP = "step"
"""The stage that the notes call beta: the time of an engine's step."""

_NEEDED = {STEP: ("prefill_tokens", "decode_requests"), QUEUEING: ("waiting", "kv_usage")}

NAMES: Mapping[str, str] = MappingProxyType(
    {
        # the batch of a step: each request in decode is one token
        "pf": "prefill_tokens",
        "dc": "decode_requests",
        "n_prefill": "prefill_requests",
        # the state that a step or a request meets
        "q": "waiting",
        "running": "running",
        "kv": "kv_usage",
        "prompt": "prompt_tokens",
        "prefix_miss": "prefix_miss",
        "avg_service": "avg_service",
        "n_preempt": "recent_preemptions",
        "preempted_tokens": "preempted_tokens",
        "evictions": "evictions",
        "frag": "fragmentation",
        # the server
        "max_seqs": "max_num_seqs",
        "max_batch_tokens": "max_num_batched_tokens",
        "tp": "tensor_parallel",
        "chunked": "chunked_prefill",
        "offload_GB": "cpu_offload_GB",
        "transfer_time": "transfer_time",
        "block_transfer": "block_transfer",
        # the model
        "layers": "layers",
        "hidden": "hidden",
        "heads": "heads",
        "kv_heads": "kv_heads",
        "intermediate": "intermediate",
        "vocab": "vocab",
        "dtype_bytes": "dtype_bytes",
        "n_experts": "experts",
        "experts_per_tok": "experts_per_token",
    }
)
"""Name in a spec of each symbol that is observed, or not."""

_DERIVED = {
    "batch_tokens": Expression("pf + dc"),
    "r": Expression("pf / (pf + dc + 1e-6)"),
    "k": Expression("1 / (1 - kv + 1e-6)"),
    "fpt": Expression("2 * hidden * (3 * intermediate + vocab)"),
    "kv_per_token": Expression("2 * layers * (hidden / heads) * kv_heads * dtype_bytes"),
    # requests that share the memory's bandwidth: those that run
    "srv": Expression("bw / (kv_per_token * running)"),
    "offload": Expression("offload_GB > 0"),
}


def missing_inputs(spec: Spec) -> str:
    """Say what the notes' methods need and a spec does not have; empty if they can predict it.

    Parameters
    ----------
    spec : Spec
    """
    others = [name for name in spec.stages if name not in _NEEDED]
    if others:
        return (
            f"it predicts the stages {STEP} and {QUEUEING} of a server, and spec {spec.name!r} has "
            f"{', '.join(others)}"
        )
    known = _names_of(spec)
    needed = dict.fromkeys(name for stage in spec.stages for name in _NEEDED[stage])
    missing = [name for name in needed if name not in known]
    return f"spec {spec.name!r} has no knob {', '.join(missing)}" if missing else ""


def serving_symbols(spec: Spec, configs: pd.DataFrame, gpu: Gpu) -> Mapping[str, Values]:
    """Evaluate the notes' symbols. Each has the shape (config,).

    Parameters
    ----------
    spec : Spec
    configs : DataFrame, one row a config
    gpu : Gpu

    Raises
    ------
    InputError
        If a knob that the spec has is missing.
    """
    columns = {name: configs[name].to_numpy(float) for name in spec.knobs if name in configs}
    names = spec.namespace({"": np.zeros(len(configs)), **columns}, gpu.fields())
    known = _names_of(spec)
    symbols: dict[str, Values] = {
        symbol: names.evaluate(name) if name in known else np.zeros(len(configs))
        for symbol, name in NAMES.items()
    }
    symbols["tp"] = np.maximum(symbols["tp"], 1.0)  # unobserved: one GPU
    sheet = {"tflops": gpu.peak_tflops, "bw": gpu.mem_bw_GBps, "sms": float(gpu.num_sm or 0)}
    symbols |= {name: np.full(len(configs), value) for name, value in sheet.items()}
    for name, expression in _DERIVED.items():
        symbols[name] = _evaluate(expression, symbols, len(configs))
    return symbols


def evaluate_features(features: Sequence[Expression], symbols: Mapping[str, Values]) -> Values:
    """Evaluate expressions over the symbols. Shape (config, feature)."""
    count = len(next(iter(symbols.values())))
    table = np.empty((count, len(features)))
    for column, feature in enumerate(features):
        table[:, column] = _evaluate(feature, symbols, count)
    return table


def _evaluate(expression: Expression, symbols: Mapping[str, Values], count: int) -> Values:
    """Evaluate one; what was divided by something unobserved is 0. Shape (config,)."""
    value = np.broadcast_to(expression.evaluate(symbols), (count,))
    return np.where(np.isfinite(value), value, 0.0)


def _names_of(spec: Spec) -> frozenset[str]:
    return frozenset([*spec.knobs, *spec.architecture, *spec.quantities])
