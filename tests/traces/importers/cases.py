"""What the contract suite needs to know of each format: its file, columns, and how it breaks."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tests.traces.importers.workload import Request
from tests.traces.importers.writers import WRITERS

__all__ = ["CASES", "Broken", "Case", "write_case"]

HEADER = """trace_version: 2
time_unit: microseconds
mode: real
warm_up_requests: 0
server:
  type: vllm
  tensor_parallel: 2
network:
  measured_rtt_ms: 0.2
"""

TIMES: dict[str, Callable[[Request], float]] = {
    "t_ttft_ms": lambda row: 1e3 * row.ttft_s,
    "t_tpot_ms": lambda row: 1e3 * row.tpot_s,
    "t_e2e_ms": lambda row: 1e3 * row.e2e_s,
}
STAGES: dict[str, Callable[[Request], float]] = {
    "t_queueing_ms": lambda row: 1e3 * row.queueing_s,
    "t_prefill_ms": lambda row: 1e3 * row.prefill_s,
    "t_decode_ms": lambda row: 1e3 * row.decode_s if row.decode_s else np.nan,
}
TOKENS: dict[str, Callable[[Request], float]] = {
    "prompt_tokens": lambda row: row.prompt_tokens,
    "output_tokens": lambda row: row.output_tokens,
}


@dataclass(frozen=True)
class Broken:
    """A file that is wrong, and what the error has to say about it."""

    change: Callable[[str], str]
    error: str
    beside: Mapping[str, str] | None = None


@dataclass(frozen=True)
class Case:
    """A format.

    Attributes
    ----------
    file : str
        A name as the tool gives it.
    columns : mapping of str to function of Request
        What the trace must hold.
    failed : str
        The reason that a failed request is left out for.
    wrong_unit, other_version, aggregates : Broken
    cut_leaves_rows : bool
        Whether the rows before a cut are kept: lines and tables; documents are refused.
    names_model, has_load : bool
        Whether the file says the model, and when requests came.
    beside : mapping of str to str
        Other files, by name.
    """

    file: str
    columns: Mapping[str, Callable[[Request], float]]
    failed: str
    wrong_unit: Broken
    other_version: Broken
    aggregates: Broken
    cut_leaves_rows: bool = False
    names_model: bool = False
    has_load: bool = False
    beside: Mapping[str, str] = field(default_factory=dict)


def on_lines(change: Callable[[Any], None]) -> Callable[[str], str]:
    """Return a change of the object on each line."""

    def apply(text: str) -> str:
        lines = []
        for line in text.splitlines():
            value = json.loads(line)
            change(value)
            lines.append(json.dumps(value) + "\n")
        return "".join(lines)

    return apply


def on_document(change: Callable[[Any], None]) -> Callable[[str], str]:
    """Return a change of a document."""

    def apply(text: str) -> str:
        value = json.loads(text)
        change(value)
        return json.dumps(value)

    return apply


def instead(text: str) -> Callable[[str], str]:
    """Return other content."""
    return lambda _: text


def _scale(values: list[float], factor: float) -> list[float]:
    return [factor * value for value in values]


def _without(document: dict[str, Any], *names: str) -> None:
    for name in names:
        document.pop(name)


def _guidellm_requests(document: Any) -> list[Any]:
    requests: list[Any] = document["benchmarks"][0]["requests"]["successful"]
    return requests


def _milliseconds_guidellm(document: Any) -> None:
    for request in _guidellm_requests(document):
        timings = request["info"]["timings"]
        timings.update({name: 1e3 * value for name, value in timings.items() if value is not None})


def _in_seconds(line: Any) -> None:
    for name in ("time_to_first_token", "request_latency"):
        if name in line["metrics"]:
            line["metrics"][name] = {
                "value": line["metrics"][name]["value"] / 6e4,
                "unit": "minutes",
            }


def _spans(line: Any) -> Any:
    return line["resourceSpans"][0]["scopeSpans"][0]["spans"]


def _scale_latencies(line: Any) -> None:
    for attribute in _spans(line)[0]["attributes"]:
        if attribute["key"].startswith("gen_ai.latency"):
            attribute["value"]["doubleValue"] *= 1e9


def _rename_latencies(line: Any) -> None:
    for attribute in _spans(line)[0]["attributes"]:
        attribute["key"] = attribute["key"].replace("gen_ai.latency", "llm.latency")


def _scale_logged(line: Any) -> None:
    for name in ("queueing_ms", "prefill_ms", "decode_ms", "e2e_ms"):
        if name in line:
            line[name] *= 1e9


def _scale_monotonic(line: Any) -> None:
    for event in _spans(line)[0]["events"]:
        for attribute in event["attributes"]:
            if attribute["key"] == "ts.monotonic":
                attribute["value"]["doubleValue"] *= 1e3


def _rename_scopes(line: Any) -> None:
    scope = line["resourceSpans"][0]["scopeSpans"][0]["scope"]
    scope["name"] = f"{scope['name']}.v9"


def _nanoseconds(document: Any) -> None:
    for entry in document:
        metrics = entry["info"]["response_metrics"]
        metrics["output_token_times"] = _scale(metrics["output_token_times"], 1e9)
        entry["start_time"] *= 1e9
        entry["end_time"] *= 1e9


PROMETHEUS = """# TYPE vllm:time_to_first_token_seconds histogram
vllm:time_to_first_token_seconds_bucket{le="0.1"} 10
"""
SUMMARY = '{"load_summary": {"count": 40}, "successes": {"count": 40, "latency": {"mean": 1.0}}}'
SPAN_METRICS = '{"resourceMetrics": [{"scopeMetrics": []}]}\n'

CASES: dict[str, Case] = {
    "vllm_logger": Case(
        file="vllm-20261125T120000Z-0f1e2d3c-e0.0000.jsonl",
        columns=STAGES | TOKENS | {"t_e2e_ms": TIMES["t_e2e_ms"]},
        failed="",  # it is never told
        names_model=True,
        has_load=True,
        cut_leaves_rows=True,
        wrong_unit=Broken(
            on_lines(_scale_logged), error=r"its times are not in the unit of this format"
        ),
        other_version=Broken(
            lambda text: text.replace('"schema": 1', '"schema": 7', 1),
            error=r"is of version 7 of the logger's files",
        ),
        aggregates=Broken(instead(PROMETHEUS), error=r"does not say which server it is of"),
    ),
    "vllm_bench": Case(
        file="openai-8.0qps-dense.json",
        columns=TIMES | TOKENS,
        failed="request failed",
        names_model=True,
        has_load=True,
        wrong_unit=Broken(
            on_document(lambda run: run.update(ttfts=_scale(run["ttfts"], 1e3))),
            error=r"'ttfts' are no seconds: their mean would be .* and its 'mean_ttft_ms' says",
        ),
        other_version=Broken(
            on_document(lambda run: _without(run, "ttfts", "itls")),
            error=r"has no list ttfts: it is of another version",
        ),
        aggregates=Broken(
            # What the tool leaves without --save-detailed.
            on_document(
                lambda run: _without(
                    run, "input_lens", "output_lens", "start_times", "ttfts", "itls", "errors"
                )
            ),
            error=r"holds aggregates only.*--save-result --save-detailed",
        ),
    ),
    "guidellm": Case(
        file="benchmarks.json",
        columns=TIMES | TOKENS,
        failed="request failed",
        names_model=True,
        has_load=True,
        wrong_unit=Broken(
            on_document(_milliseconds_guidellm), error=r"its timings are no seconds.* 1e\+03 times"
        ),
        other_version=Broken(
            on_document(lambda report: report["metadata"].update(version=3)),
            error=r"is a report of version 3, and 1 and 2 can be read",
        ),
        aggregates=Broken(
            on_document(lambda report: report["benchmarks"][0].pop("requests")),
            error=r"its benchmark 1 holds aggregates only",
        ),
    ),
    "aiperf": Case(
        file="profile_export.jsonl",
        columns=TIMES | TOKENS,
        failed="request failed",
        has_load=True,
        cut_leaves_rows=True,
        wrong_unit=Broken(
            on_lines(_in_seconds), error=r"time in the unit 'minutes', which nobody knows here: 40"
        ),
        other_version=Broken(
            on_lines(lambda line: line.update(record_metrics=line.pop("metrics"))),
            error=r"no line is of this format.*missing required field `metrics`",
        ),
        aggregates=Broken(
            instead('{"request_latency": {"unit": "ms", "avg": 512.0}}\n'),
            error=r"no line is of this format.*missing required field `metadata`",
        ),
    ),
    "vllm_otel": Case(
        file="vllm.jsonl",
        columns=TIMES | STAGES | TOKENS,
        failed="span without gen_ai.latency attributes",
        names_model=True,
        has_load=True,
        cut_leaves_rows=True,
        wrong_unit=Broken(
            on_lines(_scale_latencies), error=r"its times are not in the unit of this format"
        ),
        other_version=Broken(
            on_lines(_rename_latencies), error=r"span without gen_ai.latency attributes: 40"
        ),
        aggregates=Broken(instead(SPAN_METRICS), error=r"missing required field `resourceSpans`"),
    ),
    "blis_journey": Case(
        file="traces.json",
        columns=TIMES | STAGES | TOKENS,
        failed="request whose journey is not whole",
        has_load=True,
        cut_leaves_rows=True,
        wrong_unit=Broken(
            on_lines(_scale_monotonic), error=r"its 'ts.monotonic' are no seconds.* ns;"
        ),
        other_version=Broken(on_lines(_rename_scopes), error=r"holds no journey or step"),
        aggregates=Broken(instead(SPAN_METRICS), error=r"missing required field `resourceSpans`"),
    ),
    "inference_perf": Case(
        file="per_request_lifecycle_metrics.json",
        columns=TIMES | TOKENS,
        failed="request failed",
        names_model=True,
        has_load=True,
        wrong_unit=Broken(
            on_document(_nanoseconds), error=r"its times are not in the unit of this format"
        ),
        other_version=Broken(
            lambda text: text.replace('"start_time"', '"started"'),
            error=r"missing required field `start_time`.*: 40",
        ),
        aggregates=Broken(instead(SUMMARY), error=r"holds aggregates only.*per_request: true"),
    ),
    "blis_trace": Case(
        file="observed.csv",
        columns=TIMES | TOKENS,
        failed="request ended as error",
        names_model=True,
        has_load=True,
        cut_leaves_rows=True,
        beside={"observed.yaml": HEADER},
        wrong_unit=Broken(
            lambda text: text,
            beside={"observed.yaml": HEADER.replace("microseconds", "ms")},
            error=r"time_unit is 'ms', and the columns are named _us",
        ),
        other_version=Broken(
            lambda text: text,
            beside={"observed.yaml": HEADER.replace("trace_version: 2", "trace_version: 7")},
            error=r"is of trace_version 7, and 2 and 3 can be read",
        ),
        aggregates=Broken(
            instead("metric,mean,p99\nttft_ms,41.0,99.0\n"), error=r"has no column request_id"
        ),
    ),
    "optimum_benchmark": Case(
        file="benchmark.json",
        columns={name: STAGES[name] for name in ("t_prefill_ms", "t_decode_ms")},
        failed="",  # it knows none
        names_model=True,
        wrong_unit=Broken(
            lambda text: text.replace('"unit": "s"', '"unit": "MB"'),
            error=r"gives prefill in the unit 'MB', which nobody knows",
        ),
        other_version=Broken(
            lambda text: text.replace('"latency"', '"latency_v2"'),
            error=r"has no latency of prefill, decode or per_token",
        ),
        aggregates=Broken(
            lambda text: re.sub(r'"values": \[[^]]*\],', "", text),
            error=r"holds aggregates only of prefill",
        ),
    ),
    "llmd_predictor": Case(
        file="sharegpt-h200.jsonl",
        columns={
            **{name: TIMES[name] for name in ("t_ttft_ms", "t_tpot_ms")},
            **TOKENS,
            "running": lambda _: 3,
            "waiting": lambda _: 1,
            "kv_usage": lambda _: 0.25,
        },
        failed="no latency that is finite and above 0 ms",
        cut_leaves_rows=True,
        wrong_unit=Broken(
            on_lines(lambda line: line.update(kv_cache_percentage=25.0)),
            error=r"its 'kv_cache_percentage' are no shares",
        ),
        other_version=Broken(
            on_lines(lambda line: line.update(num_running=line.pop("num_request_running"))),
            error=r"missing required field `num_request_running`",
        ),
        aggregates=Broken(instead(PROMETHEUS), error=r"no line is of this format"),
    ),
    "aiconfigurator": Case(
        file="gemm_perf.txt",
        columns={"t_kernel_ms": STAGES["t_prefill_ms"], "m": TOKENS["prompt_tokens"]},
        failed="no latency that is finite and above 0 ms",
        cut_leaves_rows=True,
        wrong_unit=Broken(
            lambda text: re.sub(
                r",([0-9.]+)$", lambda match: f",{1e9 * float(match[1])}", text, flags=re.M
            ),
            error=r"its times are not in the unit of this format",
        ),
        other_version=Broken(
            lambda text: text.replace(",latency\n", ",latency_p50\n", 1),
            error=r"is no table of aiconfigurator: it has neither framework",
        ),
        aggregates=Broken(
            instead("version https://git-lfs.github.com/spec/v1\noid sha256:99\nsize 1375555\n"),
            error=r"is a pointer of Git LFS, not the file",
        ),
    ),
}


def write_case(name: str, folder: Path, requests: list[Request]) -> Path:
    """Write the file of a format, and those that belong beside it."""
    case = CASES[name]
    folder.mkdir(parents=True, exist_ok=True)
    for other, text in case.beside.items():
        (folder / other).write_text(text, encoding="utf-8")
    path = folder / case.file
    path.write_text("".join(WRITERS[name](requests)), encoding="utf-8")
    return path
