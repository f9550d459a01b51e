"""Collects logs of real vLLM servers on this CPU, from idle to saturated.

    BAYESLAT_VLLM_PYTHON=.venv-vllm/bin/python \
        python -m benchmarks.collect_vllm_traces --threads 1 --dtype float32 \
            --model deep_dense -o logs/

The traces in `traces/vllm/` were made so. Nothing else should run on the machine.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from benchmarks.vllm_server import MODELS, Load, send, serving, vllm_python

# Few blocks, so that the KV cache fills under load and requests wait for it.
OPTIONS = (
    *("--max-num-seqs", "12", "--max-num-batched-tokens", "512"),
    *("--num-gpu-blocks-override", "40"),
)
PROMPTS, OUTPUTS = (8, 1000), (4, 120)
# Requests a second, from a server that idles between them to one that cannot keep up.
RATES = (0.25, 0.5, 1.0, 1.5, 2.5, 4.0)
BURSTS = (4, 8, 16, 32)  # streams that send the next request as one ends


def main() -> None:
    options = _options()
    python = vllm_python()
    environ = {"BAYESLAT_LOG_DIR": str(options.output.resolve())}
    with (
        tempfile.TemporaryDirectory() as folder,
        serving(
            python,
            options.model,
            Path(folder),
            threads=options.threads,
            dtype=options.dtype,
            options=OPTIONS,
            environ=environ,
        ) as served,
    ):
        for seed, load in enumerate(_loads(options.seconds)):
            sent = send(served, load)
            print(
                f"{load.rate_per_s or load.concurrency:>4} "
                f"{'requests/s' if load.rate_per_s else 'streams'}: {sent.requests} requests, "
                f"{sent.output_tokens} tokens in {sent.seconds:.1f} s, {sent.failed} failed, "
                f"seed {seed}",
                flush=True,
            )


def _loads(seconds: float) -> list[Load]:
    paces = [*((rate, 0) for rate in RATES), *((0.0, streams) for streams in BURSTS)]
    return [
        Load(seconds, rate, streams, PROMPTS, OUTPUTS, seed)
        for seed, (rate, streams) in enumerate(paces)
    ]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", choices=MODELS, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--seconds", type=float, default=15.0, help="for each of the loads")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder of the logs")
    return parser.parse_args()


if __name__ == "__main__":
    main()
