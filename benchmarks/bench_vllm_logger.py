"""What the logger costs a real vLLM server, whether it tells all, and what a kill loses.

    BAYESLAT_VLLM_PYTHON=.venv-vllm/bin/python python -m benchmarks.bench_vllm_logger [-o FILE.json]

Without vLLM it says so and ends. The server computes a small model on one core of a CPU, saturated
with eight streams. The logger is switched off and on while one server runs, since that compares
moments a few seconds apart; and servers with and without it are started in turn.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import signal
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.common import RESULTS, machine, print_table, write_json
from benchmarks.vllm_server import Load, Sent, Served, send, serving, vllm_python

OPTIONS = ("--max-num-seqs", "8")
SETTLE_S = 5.0  # a server's first requests are slower
SWITCH_S = 0.15  # so that both are measured at the same speed of a shared machine


def main() -> None:
    options = _options()
    python = vllm_python()
    results: dict[str, Any] = {"machine": machine()}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        watch, results["complete"] = one_server(python, folder, options.model, options.minutes)
        results["record_us"] = record_us(watch["calls_ns"])
        results["thread"] = thread_us(watch)
        results["switched"] = throughput_ratio(watch["ends"])
        write_json(options.output, results)
        if options.kills:
            results["killed"] = killed(python, folder, options.model, options.kills)
        if options.pairs:
            results["side_by_side"] = side_by_side(python, folder, options.model, options.pairs)
    for title in [name for name in results if name != "machine"]:
        print_table(title, pd.DataFrame([results[title]]).T)
    write_json(options.output, results)


def one_server(
    python: str, folder: Path, model: str, minutes: float
) -> tuple[dict[str, Any], dict[str, int]]:
    """Switch the logger off and on under load; then compare its rows with the client's count."""
    environ = {
        "BAYESLAT_LOG_DIR": str(folder / "switched"),
        "BAYESLAT_STOPWATCH": str(folder / "watch.json"),
    }
    with serving(python, model, folder, threads=1, options=OPTIONS, environ=environ) as served:
        before = send(served, Load(SETTLE_S))
        _switch_under_load(served, 60.0 * minutes)
        after = send(served, Load(20.0, rate_per_s=4.0, seed=1))
    watch = json.loads((folder / "watch.json").read_text(encoding="utf-8"))
    rows = _rows(folder / "switched")
    on = [tokens for _, on, tokens in watch["ends"] if on]
    steps = [row for row in rows if row["kind"] == "step"]
    known = {row["id"] for row in rows if row["kind"] == "request"}
    complete = {
        "iterations of the server, logger on": len(watch["calls_ns"]),
        "step rows": len(steps),
        "output tokens of the server, logger on": sum(on),
        "output tokens of the step rows": sum(row.get("output_tokens", 0) for row in steps),
        "requests of the client, logger on": before.requests + after.requests,
        "their output tokens": before.output_tokens + after.output_tokens,
        "request rows, with those that ended in between": len(known),
    }
    return watch, complete


def _switch_under_load(served: Served, seconds: float) -> None:
    """Switch the logger off and on, an even number of times, while the server is saturated."""
    stop = threading.Event()

    def switch() -> None:
        for _ in range(2 * round(seconds / SWITCH_S / 2)):
            if stop.wait(SWITCH_S):
                break
            os.kill(served.process, signal.SIGUSR1)

    thread = threading.Thread(target=switch)
    thread.start()
    send(served, Load(seconds + SWITCH_S))
    stop.set()
    thread.join()


def record_us(calls_ns: Sequence[int]) -> dict[str, float]:
    """Return quantiles of the time that `record` takes in the serving loop, us."""
    calls = np.asarray(calls_ns) / 1e3
    levels = {"median": 0.5, "p90": 0.9, "p99": 0.99, "p999": 0.999, "most": 1.0}
    told = {name: round(float(np.quantile(calls, level)), 2) for name, level in levels.items()}
    return {"calls": calls.size, "mean": round(float(calls.mean()), 2), **told}


def thread_us(watch: Mapping[str, Any]) -> dict[str, float]:
    """Return what an iteration costs in the logger's thread, us, and what part of a core it is."""
    (first, first_s), (last, last_s) = watch["thread_s"][0], watch["thread_s"][-1]
    each_us = 1e6 * (last_s - first_s) / (last - first)
    at_s = np.array([at for at, on, _ in watch["ends"] if on])
    interval_us = 1e6 * float(np.median(np.diff(at_s)))
    return {
        "processor time an iteration, us": round(each_us, 1),
        "median iteration, us": round(interval_us, 1),
        "part of a core": round(each_us / interval_us, 5),
    }


def throughput_ratio(ends: Sequence[tuple[float, bool, int]]) -> dict[str, float]:
    """Return the throughput with the logger over that without, in neighbouring stretches.

    Beside it the same of the median time between iterations: on a machine that others use too, the
    throughput of a stretch is decided by its longest interruptions.

    Parameters
    ----------
    ends : sequence of (s, on, output tokens), dim (iteration,)
    """
    at_s, on, tokens = (np.asarray(part) for part in zip(*ends, strict=True))
    edges = [0, *(np.flatnonzero(np.diff(on.astype(int))) + 1), on.size]
    rates: dict[bool, list[float]] = {True: [], False: []}
    medians_s: dict[bool, list[float]] = {True: [], False: []}
    for first, last in itertools.pairwise(edges[1:-1]):  # without those that are cut off
        stretch = slice(first + 1, last)
        rates[bool(on[first])].append(tokens[stretch].sum() / (at_s[last - 1] - at_s[first]))
        medians_s[bool(on[first])].append(float(np.median(np.diff(at_s[first:last]))))
    medians = _ratio(np.array(medians_s[False]), np.array(medians_s[True]))
    return {
        **_ratio(np.array(rates[True]), np.array(rates[False])),
        "ratio by median iteration": medians["ratio"],
        "its standard error": medians["standard error"],
    }


def _ratio(with_logger: NDArray[np.float64], without: NDArray[np.float64]) -> dict[str, float]:
    """Return the mean ratio of pairs, and how sure it is."""
    pairs = min(with_logger.size, without.size)
    logs = np.log(with_logger[:pairs] / without[:pairs])
    return {
        "pairs": pairs,
        "tokens/s with": round(float(np.median(with_logger)), 1),
        "tokens/s without": round(float(np.median(without)), 1),
        "ratio": round(float(np.exp(logs.mean())), 4),
        "standard error": round(float(logs.std(ddof=1) / np.sqrt(pairs)), 4) if pairs > 1 else 0.0,
    }


def killed(python: str, folder: Path, model: str, kills: int) -> dict[str, float]:
    """Kill saturated servers, and return how old the last row was, s."""
    ages = []
    for kill in range(kills):
        logs = folder / f"killed-{kill}"
        environ = {"BAYESLAT_LOG_DIR": str(logs)}
        with serving(python, model, folder, threads=1, options=OPTIONS, environ=environ) as served:
            thread = threading.Thread(target=_send_in_vain, args=(served,))
            thread.start()
            time.sleep(SETTLE_S + 0.37 * kill)
            killed_s = time.time()
            os.killpg(served.process, signal.SIGKILL)
            thread.join()
        steps = [row for row in _rows(logs) if row["kind"] == "step"]
        ages.append(killed_s - steps[-1]["at_s"])
    return {"kills": kills, "most lost, s": round(max(ages), 3)}


def _send_in_vain(served: Served) -> None:
    """Keep a server busy that will be killed."""
    with contextlib.suppress(OSError):
        send(served, Load(60.0))


def side_by_side(python: str, folder: Path, model: str, pairs: int) -> dict[str, float]:
    """Return the throughput of servers with the logger over that of servers without it."""
    rates: dict[bool, list[float]] = {True: [], False: []}
    for pair in range(pairs):
        for on in (True, False) if pair % 2 else (False, True):
            logs = {"BAYESLAT_LOG_DIR": str(folder / f"pair-{pair}")} if on else {}
            with serving(python, model, folder, threads=1, options=OPTIONS, environ=logs) as served:
                send(served, Load(SETTLE_S))
                rates[on].append(_rate(send(served, Load(30.0, seed=pair))))
    return _ratio(np.array(rates[True]), np.array(rates[False]))


def _rate(sent: Sent) -> float:
    return sent.output_tokens / sent.seconds


def _rows(folder: Path) -> list[dict[str, Any]]:
    rows = []
    for path in sorted(folder.glob("*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                rows.append(json.loads(line))
            except ValueError:  # the last line of a server that was killed
                continue
    return rows


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", choices=("dense", "moe"), default="dense")
    parser.add_argument("--minutes", type=float, default=9.0, help="of switching off and on")
    parser.add_argument("--pairs", type=int, default=3, help="servers with and without, in turn")
    parser.add_argument("--kills", type=int, default=2)
    parser.add_argument("-o", "--output", type=Path, default=RESULTS / "vllm_logger.json")
    return parser.parse_args()


if __name__ == "__main__":
    main()
