"""Collect stage latencies of a vision-language model: `python -m bayeslat.collect.vlm`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from bayeslat.collect.collection import Plan, collect
from bayeslat.collect.design import KnobSpace, sobol_design
from bayeslat.collect.model import DTYPE_BYTES
from bayeslat.collect.trace_file import TraceFile, describe
from bayeslat.errors import BayeslatError

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Parameters
    ----------
    arguments : sequence of str, optional
        Command-line arguments; those of the process by default.

    Returns
    -------
    int
        0 when the design is measured, 1 after bad input.
    """
    options = _parser().parse_args(arguments)
    try:
        _run(options)
    except BayeslatError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _run(options: argparse.Namespace) -> None:
    plan = Plan(
        device_key=options.device_key,
        config_path=options.config,
        design=sobol_design(KnobSpace(), options.configs, options.seed),
        dtype=options.dtype,
        threads=options.threads,
        repeats=options.repeats,
        crop_pixels=options.crop_pixels,
        seed=options.seed,
    )
    trace = TraceFile(options.output, plan, describe(plan))
    wanted = options.configs * options.repeats
    for row in collect(plan, trace.done):
        trace.append(row)
        _show_progress(f"{plan.device_key}: {len(trace.rows)} of {wanted} rows")
    _show_progress("")
    print(f"{options.output}: {len(trace.rows)} rows of {plan.device_key}")


def _show_progress(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bayeslat.collect.vlm",
        description="Measure stage latencies of a random-weight vision-language model on the CPU. "
        "An output file that exists is taken up where it stopped.",
    )
    parser.add_argument("--device-key", required=True, help="key of the hardware table")
    parser.add_argument("--config", required=True, type=Path, help="the model's config.json")
    parser.add_argument("-o", "--output", required=True, type=Path, help="trace to write")
    parser.add_argument("--threads", type=int, default=1, help="threads (default 1)")
    parser.add_argument(
        "--dtype", choices=tuple(DTYPE_BYTES), default="float32", help="dtype (default float32)"
    )
    parser.add_argument("--configs", type=int, default=60, help="configurations (default 60)")
    parser.add_argument("--repeats", type=int, default=3, help="repeats of each (default 3)")
    parser.add_argument(
        "--crop-pixels", type=int, default=192, help="side of a crop in pixels (default 192)"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the design (default 0)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
