"""Files of a made-up workload as every tool would write them.

The layouts are those of the tools' own writers, read in their sources; real files of some of them
stand in `data/`, with the commands that made them. Each writer gives its file in pieces, so that
a million requests need no memory.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Any

from tests.traces.importers.workload import Request

__all__ = ["WRITERS"]

_UNIX_S = 1.79e9  # what the workload's clock is taken to be behind


def vllm_bench(requests: Iterable[Request]) -> Iterator[str]:
    rows = list(requests)
    good = [row for row in rows if not row.failed]
    header = {
        "date": "20261125-150438",
        "backend": "openai",
        "model_id": rows[0].model,
        "num_prompts": len(rows),
        "request_rate": 8.0,
        "max_concurrency": 64,
        "duration": rows[-1].sent_s - rows[0].sent_s,
        "completed": len(good),
        "failed": len(rows) - len(good),
    }
    lists: dict[str, Callable[[Request], Any]] = {
        "input_lens": lambda row: row.prompt_tokens,
        "output_lens": lambda row: 0 if row.failed else row.output_tokens,
        "ttfts": lambda row: 0.0 if row.failed else row.ttft_s,
        "itls": lambda row: [] if row.failed else row.gaps_s,
        "latencies": lambda row: 0.0 if row.failed else row.e2e_s,
        "start_times": lambda row: row.sent_s,
        "queue_times": lambda row: 0.0,
        "generated_texts": lambda row: 'w3 "w4" \\ [w5] {é',
        "errors": lambda row: "Bad Gateway, [502]" if row.failed else "",
    }
    yield json.dumps(header)[:-1]
    for name, value in lists.items():
        yield f', "{name}": ['
        for number, row in enumerate(rows):
            yield ("" if number == 0 else ", ") + json.dumps(value(row))
        yield "]"
    mean = 1e3 * sum(row.ttft_s for row in good) / max(len(good), 1)
    yield f', "mean_ttft_ms": {mean}, "p99_ttft_ms": {2 * mean}}}'


def guidellm(requests: Iterable[Request]) -> Iterator[str]:
    yield '{"metadata": {"version": 2, "guidellm_version": "0.8.1"}, "config": {}, "benchmarks": ['
    rows = iter(requests)
    first = next(rows)
    config = {
        "strategy": {"type_": "constant", "rate": 8.0},
        "backend": {"model": first.model},
        "sample_size": None,
    }
    yield json.dumps({"type_": "generative_benchmark", "config": config})[:-1]
    yield ', "metrics": {"request_latency": {"successful": {"mean": 1.0}}}, "requests": '
    yield '{"successful": ['
    failed = []
    comma = ""
    for row in chain([first], rows):
        if row.failed:
            failed.append(row)
            continue
        yield comma + json.dumps(_guidellm_request(row))
        comma = ", "
    yield '], "errored": ['
    yield ", ".join(json.dumps(_guidellm_request(row)) for row in failed)
    yield '], "incomplete": []}, "duration": 1.0}]}'


def _guidellm_request(row: Request) -> dict[str, Any]:
    start = _UNIX_S + row.sent_s
    timings = {
        "targeted_start": start,
        "request_start": start,
        "first_token_iteration": None if row.failed else start + row.ttft_s,
        "last_token_iteration": None if row.failed else start + row.e2e_s,
        "token_iterations": row.output_tokens,
        "request_end": start + row.e2e_s,
        "resolve_end": start + row.e2e_s,
    }
    return {
        "type_": "generative_request_stats",
        "request_id": str(row.number),
        "request_args": json.dumps({"model": row.model, "prompt": 'a "quoted" [prompt]'}),
        "output": "w3 w4",
        "info": {"request_id": str(row.number), "status": "completed", "timings": timings},
        "prompt_tokens": row.prompt_tokens,
        "cached_tokens": None,
        "output_tokens": None if row.failed else row.output_tokens,
        "request_latency": row.e2e_s,
        "time_to_first_token_ms": None if row.failed else 1e3 * row.ttft_s,
        "time_per_output_token_ms": 1e3 * row.e2e_s / row.output_tokens,
    }


def aiperf(requests: Iterable[Request]) -> Iterator[str]:
    for row in requests:
        start = round(1e9 * (_UNIX_S + row.sent_s))
        metadata = {
            "session_num": row.number,
            "x_request_id": str(row.number),
            "request_start_ns": start,
            "request_end_ns": start + round(1e9 * row.e2e_s),
            "worker_id": "worker_1",
            "record_processor_id": "record_processor_1",
            "benchmark_phase": "profiling",
            "was_cancelled": False,
        }
        metrics = {
            "input_sequence_length": {"value": row.prompt_tokens, "unit": "tokens"},
            "output_sequence_length": {"value": row.output_tokens, "unit": "tokens"},
            "time_to_first_token": {"value": 1e3 * row.ttft_s, "unit": "ms"},
            "request_latency": {"value": 1e3 * row.e2e_s, "unit": "ms"},
            "inter_chunk_latency": {"value": [1e3 * gap for gap in row.gaps_s], "unit": "ms"},
        }
        error = {"code": 502, "type": "Bad Gateway", "message": "no"} if row.failed else None
        line = {"metadata": metadata, "metrics": {} if row.failed else metrics, "error": error}
        yield json.dumps(line) + "\n"


def vllm_logger(requests: Iterable[Request]) -> Iterator[str]:
    rows = list(requests)
    server = {
        "kind": "server",
        "schema": 1,
        "software": {"vllm": "0.32.0"},
        "config": {"model": rows[0].model},
    }
    yield json.dumps(server) + "\n"
    for row in rows:
        if row.failed:  # vLLM does not tell its loggers
            continue
        told = {
            "kind": "request",
            "id": str(row.number),
            "at_s": _UNIX_S + row.sent_s + row.e2e_s,
            "arrived_at_s": _UNIX_S + row.sent_s,
            "queued_at_s": _UNIX_S + row.sent_s,
            "queueing_ms": 1e3 * row.queueing_s,
            "prefill_ms": 1e3 * row.prefill_s,
            "decode_ms": 1e3 * row.decode_s,
            "e2e_ms": 1e3 * row.e2e_s,
            "prompt_tokens": row.prompt_tokens,
            "output_tokens": row.output_tokens,
        }
        yield json.dumps(told) + "\n"


def vllm_otel(requests: Iterable[Request]) -> Iterator[str]:
    for row in requests:
        start = round(1e9 * (_UNIX_S + row.sent_s))
        attributes = _attributes(
            {
                "gen_ai.latency.time_to_first_token": row.ttft_s,
                "gen_ai.latency.e2e": row.e2e_s,
                "gen_ai.latency.time_in_queue": row.queueing_s,
                "gen_ai.latency.time_in_model_prefill": row.prefill_s,
                "gen_ai.latency.time_in_model_decode": row.decode_s,
                "gen_ai.usage.prompt_tokens": row.prompt_tokens,
                "gen_ai.usage.completion_tokens": row.output_tokens,
                "gen_ai.request.id": str(row.number),
                "gen_ai.response.model": row.model,
            }
        )
        span = {
            "traceId": "6f0d",
            "name": "llm_request",
            "startTimeUnixNano": str(start),
            "endTimeUnixNano": str(start + round(1e9 * row.e2e_s)),
            "attributes": [] if row.failed else attributes,
        }
        yield _export("vllm.llm_engine", span)


def blis_journey(requests: Iterable[Request]) -> Iterator[str]:
    for row in requests:
        name = f"cmpl-{row.number}"
        at = row.sent_s
        first = 10 * row.number
        core = [
            ("QUEUED", at, first, 0, 0),
            ("SCHEDULED", at + row.queueing_s, first, 0, 0),
            ("FIRST_TOKEN", at + row.ttft_s, first, row.prompt_tokens, 1),
            (
                "FINISHED",
                at + row.e2e_s,
                first + row.output_tokens - 1,
                row.prompt_tokens,
                row.output_tokens,
            ),
        ]
        events = [
            {
                "name": f"journey.{event}",
                "attributes": _attributes(
                    {
                        "ts.monotonic": when,
                        "ts.monotonic_ns": round(1e9 * when),
                        "scheduler.step": step,
                        "prefill.done_tokens": done,
                        "prefill.total_tokens": row.prompt_tokens,
                        "decode.done_tokens": generated,
                        **({"schedule.kind": "FIRST"} if event == "SCHEDULED" else {}),
                        **({"finish.status": "length"} if event == "FINISHED" else {}),
                    }
                ),
            }
            for event, when, step, done, generated in (core[:2] if row.failed else core)
        ]
        request = _attributes({"gen_ai.request.id": f"{name}-0-8f2a"})
        yield _export(
            "vllm.scheduler", {"name": "llm_core", "attributes": request, "events": events}
        )
        api = [
            {
                "name": f"api.{event}",
                "attributes": _attributes({"event.ts.monotonic": when}),
            }
            for event, when in (("ARRIVED", at - 0.002), ("DEPARTED", at + row.e2e_s + 0.001))
        ]
        request = _attributes({"gen_ai.request.id": name})
        yield _export("vllm.api", {"name": "llm_request", "attributes": request, "events": api})


def _attributes(values: dict[str, str | int | float]) -> list[dict[str, Any]]:
    kinds = {str: "stringValue", int: "intValue", float: "doubleValue"}
    return [
        {
            "key": key,
            # OTLP writes 64-bit whole numbers as text.
            "value": {kinds[type(value)]: str(value) if isinstance(value, int) else value},
        }
        for key, value in values.items()
    ]


def _export(scope: str, *spans: dict[str, Any]) -> str:
    resource = {"attributes": _attributes({"service.name": "vllm"})}
    groups = [{"scope": {"name": scope}, "spans": list(spans)}]
    return json.dumps({"resourceSpans": [{"resource": resource, "scopeSpans": groups}]}) + "\n"


def inference_perf(requests: Iterable[Request]) -> Iterator[str]:
    yield "["
    comma = ""
    for row in requests:
        start = row.sent_s
        times = [start + row.ttft_s + number * row.tpot_s for number in range(row.output_tokens)]
        times[-1] = start + row.e2e_s
        info = {
            "request_metrics": {"text": {"input_tokens": row.prompt_tokens}},
            "response_metrics": {
                "output_tokens": row.output_tokens,
                "server_usage": None,
                # Each chunk's beginning-of-sequence token was counted too.
                "output_token_times": [time for time in times for _ in range(2)],
            },
        }
        entry = {
            "start_time": start,
            "end_time": start + row.e2e_s,
            "request": json.dumps({"model": row.model, "prompt": "x", "max_tokens": 8}),
            "response": "data: ...",
            "info": info,
            "error": {"error_type": "502", "error_msg": "no"} if row.failed else None,
        }
        yield comma + json.dumps(entry, indent=2)
        comma = ",\n"
    yield "]"


def blis_trace(requests: Iterable[Request]) -> Iterator[str]:
    yield (
        "request_id,client_id,tenant_id,slo_class,session_id,round_index,prefix_group,"
        "prefix_length,streaming,input_tokens,output_tokens,text_tokens,image_tokens,audio_tokens,"
        "video_tokens,reason_ratio,model,deadline_us,server_input_tokens,arrival_time_us,"
        "send_time_us,first_chunk_time_us,last_chunk_time_us,num_chunks,status,error_message,"
        "finish_reason\n"
    )
    for row in requests:
        sent, first, last = (
            round(1e6 * each)
            for each in (row.sent_s, row.sent_s + row.ttft_s, row.sent_s + row.e2e_s)
        )
        end = (
            '0,0,0,error,"HTTP 502, ""no""",'
            if row.failed
            else f"{first},{last},{row.output_tokens},ok,,length"
        )
        yield (
            f"{row.number},c1,t1,standard,,0,,0,true,{row.prompt_tokens - 4},{row.output_tokens},"
            f"{row.prompt_tokens - 4},0,0,0,0,{row.model},0,{row.prompt_tokens},{sent},{sent},"
            f"{end}\n"
        )


def llmd_predictor(requests: Iterable[Request]) -> Iterator[str]:
    for row in requests:
        sample = {
            "kv_cache_percentage": 0.25,
            "input_token_length": row.prompt_tokens,
            "num_request_waiting": 1,
            "num_request_running": 3,
            "actual_ttft_ms": 0.0 if row.failed else 1e3 * row.ttft_s,
            "actual_tpot_ms": 0.0 if row.failed or row.output_tokens < 2 else 1e3 * row.tpot_s,
            "num_tokens_generated": row.output_tokens,
            "prefix_cache_score": 0.0,
        }
        yield json.dumps(sample) + "\n"


def optimum_benchmark(requests: Iterable[Request]) -> Iterator[str]:
    """One configuration, whose runs took as long as the requests."""
    rows = [row for row in requests if not row.failed]

    def latency(values: list[float]) -> dict[str, Any]:
        mean = sum(values) / len(values)
        return {"latency": {"unit": "s", "values": values, "count": len(values), "mean": mean}}

    config = {
        "name": "x",
        "backend": {
            "name": "pytorch",
            "version": "2.11.0",
            "model": rows[0].model,
            "device": "cuda",
        },
        "scenario": {
            "input_shapes": {"batch_size": 2, "sequence_length": 16},
            "generate_kwargs": {"max_new_tokens": 33, "min_new_tokens": 33},
        },
        "environment": {"gpu": ["NVIDIA H100 80GB HBM3"], "optimum_benchmark_version": "0.6.0"},
    }
    report = {
        "prefill": latency([row.prefill_s for row in rows]),
        "decode": latency([row.decode_s for row in rows]),
    }
    yield json.dumps({"config": config, "report": report}, indent=4)


def aiconfigurator(requests: Iterable[Request]) -> Iterator[str]:
    """Runs of a kernel that took as long as prefills."""
    yield "framework,version,device,op_name,kernel_source,gemm_dtype,m,n,k,latency\n"
    for row in requests:
        latency = "" if row.failed else repr(1e3 * row.prefill_s)
        yield (
            f"VLLM,0.24.0,NVIDIA H100 80GB HBM3,gemm,vllm_default,bfloat16,{row.prompt_tokens},"
            f"{row.number + 1},4096,{latency}\n"
        )


WRITERS: dict[str, Callable[[Iterable[Request]], Iterator[str]]] = {
    writer.__name__: writer
    for writer in (
        vllm_logger,
        vllm_bench,
        guidellm,
        aiperf,
        vllm_otel,
        blis_journey,
        inference_perf,
        blis_trace,
        optimum_benchmark,
        llmd_predictor,
        aiconfigurator,
    )
}
