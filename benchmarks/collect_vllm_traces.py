"""Collects logs of real vLLM servers on this machine, from idle to saturated.

    BAYESLAT_VLLM_PYTHON=.venv-vllm/bin/python \
        python -m benchmarks.collect_vllm_traces --threads 1 --dtype float32 \
            --model deep_dense -o logs/
    BAYESLAT_VLLM_PYTHON=.venv-vllm/bin/python \
        python -m benchmarks.collect_vllm_traces --on-gpu --dtype bfloat16 --seconds 3 \
            --model qwen3_8b --model qwen3_30b_a3b -o logs/

The traces in `traces/vllm/` were made so. Nothing else should run on the machine. Several models
are loaded at once, and measured one after the other.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks.vllm_models import MODELS
from benchmarks.vllm_server import Load, Served, send, serving_all, vllm_python


@dataclass(frozen=True)
class Plan:
    """How a kind of device is served and loaded.

    Attributes
    ----------
    options : tuple of str
        Of the server.
    prompts, outputs : tuple of int
        Least and most tokens.
    rates : tuple of float
        Requests a second, from a server that idles between them to one that cannot keep up.
    bursts : tuple of int
        Streams that send the next request as one ends.
    """

    options: tuple[str, ...]
    prompts: tuple[int, int]
    outputs: tuple[int, int]
    rates: tuple[float, ...]
    bursts: tuple[int, ...]


# Few blocks, so that the KV cache fills under load and requests wait for it.
ON_CPU = Plan(
    options=(
        *("--max-num-seqs", "12", "--max-num-batched-tokens", "512"),
        *("--num-gpu-blocks-override", "40"),
    ),
    prompts=(8, 1000),
    outputs=(4, 120),
    rates=(0.25, 0.5, 1.0, 1.5, 2.5, 4.0),
    bursts=(4, 8, 16, 32),
)
# Decode runs in CUDA graphs, prompts without; nothing is compiled.
ON_GPU = Plan(
    options=(
        *("--max-num-seqs", "64", "--max-num-batched-tokens", "2048"),
        *("--num-gpu-blocks-override", "1800"),
        *("--gpu-memory-utilization", "0.05", "--kv-cache-memory-bytes", "6442450944"),
        *("--compilation-config", '{"mode": 0, "cudagraph_mode": "FULL_DECODE_ONLY"}'),
    ),
    prompts=(8, 1800),
    outputs=(4, 160),
    rates=(2.0, 6.0, 12.0, 24.0, 40.0, 70.0),
    bursts=(1, 16, 48, 128),
)


def main() -> None:
    options = _options()
    plan = ON_GPU if options.on_gpu else ON_CPU
    with (
        tempfile.TemporaryDirectory() as folder,
        serving_all(
            vllm_python(),
            options.model,
            options.server_logs or Path(folder),
            threads=options.threads,
            dtype=options.dtype,
            options=plan.options,
            logs=options.output,
        ) as servers,
    ):
        for served in servers:
            for load in _loads(plan, options.seconds):
                _send(served, load)


def _loads(plan: Plan, seconds: float) -> list[Load]:
    paces = [*((rate, 0) for rate in plan.rates), *((0.0, streams) for streams in plan.bursts)]
    return [
        Load(seconds, rate, streams, plan.prompts, plan.outputs, seed)
        for seed, (rate, streams) in enumerate(paces)
    ]


def _send(served: Served, load: Load) -> None:
    sent = send(served, load)
    pace = (
        f"{load.rate_per_s:>4} requests/s" if load.rate_per_s else f"{load.concurrency:>4} streams"
    )
    print(
        f"{served.model}, {pace}: {sent.requests} requests, {sent.output_tokens} tokens in "
        f"{sent.seconds:.1f} s, {sent.failed} failed, seed {load.seed}",
        flush=True,
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", choices=MODELS, action="append", required=True)
    device = parser.add_mutually_exclusive_group(required=True)
    device.add_argument("--threads", type=int, help="of a CPU")
    device.add_argument("--on-gpu", action="store_true")
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--seconds", type=float, default=15.0, help="for each of the loads")
    parser.add_argument("--server-logs", type=Path, help="folder of what the servers print")
    parser.add_argument(
        *("-o", "--output"), type=Path, required=True, help="a folder of logs for each model"
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
