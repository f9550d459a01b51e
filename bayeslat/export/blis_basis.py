"""The bases of the step time in the BLIS simulator, from totals over a batch.

BLIS (https://github.com/inference-sim/inference-sim) adds up a dot product of coefficients and
these, in microseconds (`StepTime` of its latency backend `trained-physics`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

__all__ = ["BASES", "BATCH", "BlisModel", "count_as_blis", "step_bases_us"]

BASES = (
    "prefill_compute",
    "decode_compute",
    "weights",
    "tensor_parallel",
    "per_layer",
    "per_request",
    "per_step",
    "per_moe_layer",
    "prefill_kv",
    "decode_kv",
    "dispatch",
)
"""In the order of BLIS's list: beta 1a, 2a, 3, 4, 5, 6, 7, 8, 1b, 2b, EP."""

BATCH = (
    "prefill_requests",
    "prefill_tokens",
    "prefill_attended_tokens",
    "decode_requests",
    "decode_context_tokens",
)
"""What is known of a batch: requests, prompt tokens of this step, tokens that these attend to
(sum of t (s + t / 2) over prompts, s of whose tokens came before), tokens generated, and the tokens
of the requests in decode."""

_KV_BYTES = 2.0  # of a value, whatever the model's type


@dataclass(frozen=True)
class BlisModel:
    """A model on a GPU, as BLIS sees it.

    Attributes
    ----------
    layers, hidden, heads, kv_heads : int
    intermediate : int
        Width of a dense layer's MLP.
    experts, experts_per_token, moe_intermediate : int
        0 for a dense model; else every layer has experts.
    weight_bytes : float
        Of a parameter.
    tensor_parallel : int
    tflops : float
        Peak that BLIS takes for this type, TFLOP/s.
    mem_bw_TBps : float
        Peak memory bandwidth, TB/s.
    """

    layers: int
    hidden: int
    heads: int
    kv_heads: int
    intermediate: int
    experts: int
    experts_per_token: int
    moe_intermediate: int
    weight_bytes: float
    tensor_parallel: int
    tflops: float
    mem_bw_TBps: float

    @property
    def has_experts(self) -> bool:
        """Whether its layers have experts."""
        return self.experts > 1

    @property
    def head_dim(self) -> int:
        """Width of a head: BLIS does not read a model's own, and drops a remainder."""
        return self.hidden // self.heads

    @property
    def kv_dim(self) -> int:
        """Width of the keys of all heads."""
        return self.kv_heads * self.head_dim

    @property
    def activation_bytes(self) -> float:
        """Of a value between layers: quantised weights leave it at two."""
        return max(self.weight_bytes, 2.0)

    @property
    def flops_per_us(self) -> float:
        """Operations of the data sheet in a microsecond."""
        return self.tflops * 1e6

    @property
    def bytes_per_us(self) -> float:
        """Memory traffic of the data sheet in a microsecond."""
        return self.mem_bw_TBps * 1e6


def step_bases_us(model: BlisModel, batches: pd.DataFrame) -> NDArray[np.float64]:
    """Evaluate the bases, for one data-parallel replica.

    Parameters
    ----------
    model : BlisModel
    batches : DataFrame, one row a batch
        With the columns `BATCH`.

    Returns
    -------
    ndarray, shape (batch, basis)
        In the order of `BASES`; microseconds for a coefficient without a unit, counts for those
        that are a time per layer, request, step or layer with experts. The last two of these, of
        models that alternate kinds of layers and of data parallelism, are 0.
    """
    batch: Mapping[str, NDArray[np.float64]] = {
        name: batches[name].to_numpy(dtype=float) for name in BATCH
    }
    prefill, decode = batch["prefill_tokens"], batch["decode_requests"]
    tp = model.tensor_parallel
    kv_values = 2.0 * model.layers * model.kv_dim / tp
    columns = {
        "prefill_compute": _compute_us(model, prefill, batch["prefill_attended_tokens"]),
        "decode_compute": _compute_us(model, decode, batch["decode_context_tokens"]),
        "weights": np.full(len(batches), _weight_bytes(model) / model.bytes_per_us),
        "tensor_parallel": _link_us(model, prefill + decode),
        "per_layer": np.full(len(batches), float(model.layers)),
        "per_request": batch["prefill_requests"] + decode,
        "per_step": np.ones(len(batches)),
        "prefill_kv": _KV_BYTES * kv_values * prefill / model.bytes_per_us,
        "decode_kv": _KV_BYTES
        * kv_values
        * (batch["decode_context_tokens"] + decode)
        / model.bytes_per_us,
    }
    zeros = np.zeros(len(batches))
    return np.column_stack([columns.get(name, zeros) for name in BASES])


def count_as_blis(batches: pd.DataFrame) -> pd.DataFrame:
    """Return the batches with the attention of prompts as BLIS counts it.

    A chunk of t tokens of a prompt of n attends to t (n + t / 2) in BLIS: to the whole prompt, and
    half of the chunk once more. What a batch holds are totals, in which the prompts of a step are
    taken to have chunks of one size, each the last of its prompt.

    Parameters
    ----------
    batches : DataFrame, one row a batch
        With the columns `BATCH`.

    Returns
    -------
    DataFrame, one row a batch
    """
    tokens = batches["prefill_tokens"]
    chunk = tokens / batches["prefill_requests"].clip(lower=1.0)
    return batches.assign(
        prefill_attended_tokens=batches["prefill_attended_tokens"] + tokens * chunk
    )


def _compute_us(
    model: BlisModel, tokens: NDArray[np.float64], attended: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Projections, attention and MLP of some tokens at the data sheet's peak."""
    projections = 2.0 * model.hidden * (2.0 * model.hidden + 2.0 * model.kv_dim)
    width = model.intermediate
    if model.has_experts:
        width = model.experts_per_token * model.moe_intermediate
    linear = (projections + 6.0 * model.hidden * width) * tokens
    attention = 4.0 * model.heads * model.head_dim * attended
    flops: NDArray[np.float64] = model.layers * (linear + attention) / model.tensor_parallel
    return flops / model.flops_per_us


def _weight_bytes(model: BlisModel) -> float:
    """Bytes of the weights on one GPU: BLIS reads all experts in every step."""
    width = model.intermediate
    if model.has_experts:
        width = model.experts * model.moe_intermediate
    values = model.hidden * (2.0 * model.hidden + 2.0 * model.kv_dim) + 3.0 * model.hidden * width
    return model.weight_bytes * model.layers * values / model.tensor_parallel


def _link_us(model: BlisModel, tokens: NDArray[np.float64]) -> NDArray[np.float64]:
    """Two all-reduces a layer, at the memory's bandwidth: the coefficient takes up the link's."""
    tp = model.tensor_parallel
    values = 2.0 * model.layers * tokens * model.hidden
    sent = values * model.activation_bytes * 2.0 * (tp - 1) / tp
    us: NDArray[np.float64] = sent / model.bytes_per_us
    return us
