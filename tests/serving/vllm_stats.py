"""What vLLM 0.32 hands to its stat loggers: the fields that are read, under their names there.

`test_with_vllm.py` compares them with vLLM's own where it is installed.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any


@dataclass
class SchedulerIterationDetails:
    iteration_index: int
    num_ctx_requests: int
    num_ctx_tokens: int
    num_generation_requests: int
    num_generation_tokens: int
    elapsed_ms: float
    num_encoder_inputs: int = 0
    num_encoder_output_tokens: int = 0
    is_dummy: bool = False


@dataclass
class PrefixCacheStats:
    hits: int = 0


@dataclass
class SpecDecodingStats:
    num_draft_tokens: int = 0
    num_accepted_tokens: int = 0


@dataclass
class PerfStats:
    num_flops_per_gpu: int = 0
    num_read_bytes_per_gpu: int = 0
    num_write_bytes_per_gpu: int = 0


@dataclass
class SchedulerStats:
    num_running_reqs: int = 0
    num_waiting_reqs: int = 0
    num_skipped_waiting_reqs: int = 0
    kv_cache_usage: float = 0.0
    iteration_details: Any = None
    prefix_cache_stats: Any = field(default_factory=PrefixCacheStats)
    spec_decoding_stats: Any = None
    perf_stats: Any = None


@dataclass
class FinishedRequestStats:
    finish_reason: Any
    request_id: str | None = None
    e2e_latency: float = 0.0
    num_prompt_tokens: int = 0
    num_preemptions: int = 0
    num_generation_tokens: int = 0
    max_tokens_param: int | None = None
    queued_time: float = 0.0
    prefill_time: float = 0.0
    inference_time: float = 0.0
    decode_time: float = 0.0
    num_cached_tokens: int = 0


@dataclass
class IterationStats:
    iteration_timestamp: float = field(default_factory=time.time)
    num_generation_tokens: int = 0
    num_preempted_reqs: int = 0
    finished_requests: list[Any] = field(default_factory=list)
    inter_token_latencies_iter: list[float] = field(default_factory=list)


def iteration(
    index: int,
    at_s: float,
    *,
    prefill: tuple[int, int] = (0, 0),
    decode: tuple[int, int] = (1, 1),
    elapsed_ms: float = 10.0,
    running: int = 1,
    waiting: int = 0,
    kv_usage: float = 0.0,
    finished: list[Any] | None = None,
) -> tuple[SchedulerStats, IterationStats]:
    """Return what an iteration tells; `prefill` and `decode` are (requests, tokens)."""
    details = SchedulerIterationDetails(index, *prefill, *decode, elapsed_ms)
    scheduler = SchedulerStats(running, waiting, 0, kv_usage, details)
    return scheduler, IterationStats(at_s, decode[1], 0, finished or [], [0.0125] * decode[0])


def config() -> SimpleNamespace:
    """Return a configuration of a server, in the places of `VllmConfig`."""
    text = SimpleNamespace(to_dict=lambda: {"hidden_size": 256, "rope_scaling": {}, "eps": 1e-6})
    return SimpleNamespace(
        model_config=SimpleNamespace(
            model="models/tiny", dtype="torch.float32", max_model_len=2048, hf_text_config=text
        ),
        scheduler_config=SimpleNamespace(
            max_num_seqs=8, max_num_batched_tokens=512, enable_chunked_prefill=True
        ),
        cache_config=SimpleNamespace(
            enable_prefix_caching=False, block_size=128, num_gpu_blocks=24
        ),
        parallel_config=SimpleNamespace(tensor_parallel_size=1),
        device_config=SimpleNamespace(device_type="cpu"),
        observability_config=SimpleNamespace(enable_logging_iteration_details=True),
        speculative_config=None,
    )
