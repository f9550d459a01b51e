"""aiconfigurator's tables: single kernels (`*_perf.txt`, `.parquet`), and whole forward passes.

Read in ai-dynamo/aiconfigurator (`collector/helper.py`, `aic_fpm_forward_perf` schema 5 to 7).
Latencies are ms. A table of kernels has the columns `framework, version, device, op_name,
kernel_source`, then the kernel's own shapes, then `latency`. A table of forward passes
(`fpm_forward_perf.parquet`) sums its tokens over the batch.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from bayeslat.traces.formats.content import refuse
from bayeslat.traces.importers.importer import Batch, Importer, Tally
from bayeslat.traces.importers.tables import numbers, read_table, texts
from bayeslat.traces.importers.vocabulary import Column, columns_named

__all__ = ["IMPORTER"]

_STEP = ("system", "backend", "latency_ms", "batch_size", "total_kv_read_tokens")
_KERNEL = ("framework", "version", "device", "op_name", "latency")

# Shapes of kernels, by the names that the collectors give them.
_SHAPES = (
    "m",
    "n",
    "k",
    "num_tokens",
    "hidden_size",
    "inter_size",
    "topk",
    "num_experts",
    "moe_tp_size",
    "moe_ep_size",
    "isl",
    "step",
    "num_heads",
    "num_key_value_heads",
    "head_dim",
    "beam_width",
    "window_size",
    "tp_size",
    "num_gpus",
    "message_size",
    "index_n_heads",
    "index_topk",
    "ep_size",
    "node_num",
)
_TYPES = (
    "gemm_dtype",
    "attn_dtype",
    "kv_cache_dtype",
    "moe_dtype",
    "mla_dtype",
    "dsa_dtype",
    "bmm_dtype",
    "nccl_dtype",
    "allreduce_dtype",
    "distribution",
)


def _read(path: Path, tally: Tally) -> Iterator[Batch]:
    first = 0
    for table in read_table(path, tally):
        names = table.column_names
        if all(name in names for name in _STEP):
            yield _steps(table, first)
        elif all(name in names for name in _KERNEL):
            yield _kernels(table, first, tally)
        else:
            raise refuse(
                path,
                f"is no table of aiconfigurator: it has neither {', '.join(_KERNEL)} (kernels) nor "
                f"{', '.join(_STEP)} (forward passes), but {', '.join(names[:8])}; name another",
            )
        first += table.num_rows


def _steps(table: pa.Table, first: int) -> Batch:
    """Return forward passes as rows."""
    prompts, batch = numbers(table, "total_prefill_tokens"), numbers(table, "batch_size")
    prefill, past = prompts > 0, numbers(table, "total_kv_read_tokens")
    with np.errstate(invalid="ignore", divide="ignore"):
        attended = prompts * (past + 0.5 * prompts) / batch + 0.5 * prompts  # alike requests
    return Batch(
        n_rows=table.num_rows,
        columns={
            "gpu": texts(table, "system"),
            "stack": _stacks(table, "backend", "backend_version"),
            "model": texts(table, "model_path"),
            "observed_by": "engine",
            "step_id": range(first, first + table.num_rows),
            "t_step_ms": numbers(table, "latency_ms"),
            "batch_size": batch,
            "prefill_requests": batch * prefill,
            "prefill_tokens": prompts,
            "decode_requests": batch * ~prefill,
            "decode_tokens": batch * ~prefill,
            "kv_read_tokens": past,
            "prefill_attended_tokens": np.round(np.where(prefill, attended, 0)),
            "decode_context_tokens": np.where(prefill, 0, past),
            "tensor_parallel": numbers(table, "tp"),
            "weight_quantization": texts(table, "weight_quantization"),
        },
    )


def _kernels(table: pa.Table, first: int, tally: Tally) -> Batch:
    """Return runs of kernels as rows."""
    known = {*_KERNEL, "kernel_source", "batch_size", *_SHAPES, *_TYPES}
    unknown = [name for name in table.column_names if name not in known]
    if unknown:
        tally.note(f"columns that have no place in the trace: {', '.join(unknown)}")
    columns: dict[str, Any] = {
        "gpu": texts(table, "device"),
        "stack": _stacks(table, "framework", "version"),
        "observed_by": "engine",
        "step_id": range(first, first + table.num_rows),
        "t_kernel_ms": numbers(table, "latency"),
        "batch_size": numbers(table, "batch_size"),
        "kernel": texts(table, "op_name"),
        "kernel_source": texts(table, "kernel_source"),
        **{name: numbers(table, name) for name in _SHAPES if name in table.column_names},
        **{name: texts(table, name) for name in _TYPES if name in table.column_names},
    }
    return Batch(n_rows=table.num_rows, columns=columns)


def _stacks(table: pa.Table, software: str, version: str) -> list[str | None]:
    """Return the software with its version, as `vllm_0.24.0`."""
    return [
        None if name is None else "_".join(filter(None, (name.lower(), number)))
        for name, number in zip(texts(table, software), texts(table, version), strict=True)
    ]


IMPORTER = Importer(
    name="aiconfigurator",
    title="aiconfigurator's tables of kernels (*_perf.*) and forward passes (fpm_forward_perf)",
    patterns=("*_perf.txt", "*_perf.csv", "*_perf.parquet"),
    columns=(
        *columns_named(
            "gpu",
            "stack",
            "model",
            "step_id",
            "observed_by",
            "t_step_ms",
            "prefill_requests",
            "prefill_tokens",
            "decode_requests",
            "decode_tokens",
            "kv_read_tokens",
            "prefill_attended_tokens",
            "decode_context_tokens",
            "batch_size",
            "tensor_parallel",
        ),
        Column("t_kernel_ms", "number", "one run of a kernel", (1e-5, 6e4)),
        Column("kernel", "text", "name of the kernel"),
        Column("kernel_source", "text", "library that the kernel is from"),
        Column("weight_quantization", "text", "type of the weights"),
        *(Column(name, "count", "shape of the kernel") for name in _SHAPES),
        *(Column(name, "text", "type or setting of the kernel") for name in _TYPES),
    ),
    definitions={
        "t_step_ms": "engine: one forward pass of the whole model",
        "t_kernel_ms": "engine: one run of the kernel, as its collector times it",
    },
    read=_read,
    names_gpu=True,
)
