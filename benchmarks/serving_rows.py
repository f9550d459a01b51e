"""From `silicon_serving.parquet` to the columns of `models/serving.toml`."""

from __future__ import annotations

import numpy as np
import pandas as pd

import bayeslat as bl
from benchmarks.common import root

__all__ = ["prepare", "same_but_version"]

PUBLISHED_BYTES = {"Qwen/Qwen3-32B": 2.0, "meta-llama/Llama-3.1-8B-Instruct": 2.0}
"""Bytes of a weight as the model was published, where the row does not say its precision."""
PRODUCT_BYTES = {"bf16": 2.0, "int4": 2.0, "fp8": 1.0, "fp4": 0.5}
"""Bytes of the values that are multiplied: 4-bit integers are widened to 16 bits first."""
WITHOUT_FP4 = ("h100_sxm", "h200_sxm")
"""GPUs that widen 4-bit weights to 16 bits for their products."""
ALIKE = [
    "gpu", "backend", "model", "precision", "isl", "osl", "concurrency", "tp", "dp", "moe_tp",
    "moe_ep", "n_gpus",
]  # fmt: skip


def prepare(raw: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, int]]:
    """Name latencies and knobs as the spec does, and fill in what rows leave out.

    Parameters
    ----------
    raw : DataFrame, one row a measured server

    Returns
    -------
    trace : DataFrame
        With `task` = model family and software.
    left_out : dict of reason to number of rows
    """
    left_out = {
        "concurrency unknown": raw["concurrency"].isna(),
        "precision of the weights unknown": _weight_bytes(raw).isna(),
    }
    rows = raw[~np.logical_or.reduce(list(left_out.values()))].reset_index(drop=True)
    has_experts = rows["n_experts"] > 0
    expert_layers = (rows["num_layers"] - rows["n_dense_layers"]).where(has_experts, 0)
    experts = rows["n_experts"] * 3 * rows["hidden"] * rows["moe_inter"] * expert_layers
    trace = rows.assign(
        t_ttft_ms=rows["ttft_ms"],
        t_tpot_ms=rows["tpot_ms"],
        concurrency=_concurrency(rows),
        dp=_replicas(rows),
        expert_layers=expert_layers,
        dense_params=rows["total_params"] - experts,
        weight_bytes=_weight_bytes(rows),
        activation_bytes=_product_bytes(rows),
        trtllm=(rows["backend"] == "trtllm").astype(float),
        sglang=(rows["backend"] == "sglang").astype(float),
        task=rows["model_family"].str.split("/").str[-1] + " " + rows["backend"],
    )
    spec = bl.load_spec(root("models/serving.toml"))
    kept = ["gpu", "task", *(knob for knob in spec.knobs if knob not in spec.defaults)]
    trace = trace[[*kept, "t_ttft_ms", "t_tpot_ms"]]
    # Rows that the spec cannot tell apart (versions, experts shared otherwise) count as repeats.
    repeat = trace.groupby(kept, dropna=False).cumcount()
    return spec.complete(trace.assign(repeat=repeat)), {
        why: int(bad.sum()) for why, bad in left_out.items()
    }


def _weight_bytes(rows: pd.DataFrame) -> pd.Series:
    return rows["weight_bytes_per_param"].fillna(rows["model"].map(PUBLISHED_BYTES))


def _product_bytes(rows: pd.DataFrame) -> pd.Series:
    """Bytes of a multiplied value; those of the weights where the precision is unknown."""
    known = rows["precision"].map(PRODUCT_BYTES).fillna(_weight_bytes(rows))
    widened = rows["gpu"].isin(WITHOUT_FP4) & (rows["precision"] == "fp4")
    return known.mask(widened, 2.0)


def _concurrency(rows: pd.DataFrame) -> pd.Series:
    """Requests in flight on the whole server.

    Where `dp` is not recorded (-1) and `concurrency` is `batch_size`, both are of one replica: of
    servers on as many GPUs that were loaded up to the same limit, one with twice the replicas has
    half of it. Elsewhere `concurrency` is `batch_size` times the replicas.
    """
    of_a_replica = (rows["dp"] < 0) & (rows["concurrency"] == rows["batch_size"])
    return rows["concurrency"].where(~of_a_replica, rows["concurrency"] * _replicas(rows))


def _replicas(rows: pd.DataFrame) -> pd.Series:
    return _gpus(rows) / rows["tp"]


def _gpus(rows: pd.DataFrame) -> pd.Series:
    """GPUs of a server.

    Where `dp` is not recorded (-1), `n_gpus` is often `tp`: then the experts' layout tells, whose
    parts stand on a GPU each. Where it is, `n_gpus` is right, and `dp` sometimes its square.
    """
    layout = (rows["moe_tp"] * rows["moe_ep"]).where(rows["n_experts"] > 0, 1)
    guessed = rows["n_gpus"].where(rows["dp"] > 0, np.maximum(rows["n_gpus"], layout))
    return guessed.clip(lower=rows["tp"])


def same_but_version(raw: pd.DataFrame) -> dict[str, dict[str, float]]:
    """Compare rows that differ in nothing recorded but the software's version.

    Parameters
    ----------
    raw : DataFrame, one row a measured server

    Returns
    -------
    dict of stage to quartiles of |ratio - 1| over pairs, in percent
    """
    found = {}
    for stage in ("tpot", "ttft"):
        gaps: list[float] = []
        for _, group in raw.groupby(ALIKE, dropna=False):
            logs = np.log(group[f"{stage}_ms"].to_numpy(dtype=float))
            apart = np.abs(logs[:, None] - logs)[np.triu_indices(len(logs), 1)]
            gaps += (100 * np.expm1(apart)).tolist()
        quartiles = np.quantile(gaps, [0.25, 0.5, 0.75]).round(1).tolist()
        names = ("lower quartile", "median", "upper quartile")
        found[stage] = {"pairs": len(gaps), **dict(zip(names, quartiles, strict=True))}
    return found
