"""One measured request: greedy generation with the stage timers on."""

from __future__ import annotations

import inspect
import time
from typing import Any

from bayeslat.collect.backend import load_torch, load_transformers
from bayeslat.collect.request import Request
from bayeslat.collect.timer import StageTimes, recorded_spans, stage_times

__all__ = ["generate_greedily", "measure"]


def measure(model: Any, request: Request) -> StageTimes:
    """Run a request once and return its stage times.

    Parameters
    ----------
    model : Qwen3VLMoeForConditionalGeneration
        The model, with its knobs applied.
    request : Request
        The request.

    Returns
    -------
    StageTimes
    """
    with recorded_spans(model) as spans:
        start_ns = time.perf_counter_ns()
        generate_greedily(model, request)
        end_to_end_ns = time.perf_counter_ns() - start_ns
    return stage_times(spans, end_to_end_ns)


def generate_greedily(model: Any, request: Request) -> Any:
    """Generate the most likely token `output_tokens` times.

    Written out, since `generate` of transformers spends a part of a small model's time on its own
    bookkeeping, which belongs to no stage.

    Parameters
    ----------
    model : Qwen3VLMoeForConditionalGeneration
        The model.
    request : Request
        The request.

    Returns
    -------
    Tensor, dims (sequence, output_tokens)
        The generated tokens.
    """
    torch, transformers = load_torch(), load_transformers()
    # Without a configuration the cache grows by one layer for each block that runs, so a
    # shortened model has no empty layers.
    cache = {_cache_argument(model): transformers.DynamicCache()}
    with torch.inference_mode():
        tokens = [
            _next_token(
                model,
                **cache,
                input_ids=request.input_ids,
                position_ids=request.position_ids,
                pixel_values=request.pixel_values,
                image_grid_thw=request.image_grid_thw,
            )
        ]
        for step in range(request.output_tokens - 1):
            position = torch.full((3, len(tokens[-1]), 1), request.next_position + step)
            tokens.append(_next_token(model, **cache, input_ids=tokens[-1], position_ids=position))
    return torch.cat(tokens, dim=1)


def _next_token(model: Any, **inputs: Any) -> Any:
    output = model(use_cache=True, logits_to_keep=1, **inputs)
    return output.logits[:, -1].argmax(dim=-1, keepdim=True)


def _cache_argument(model: Any) -> str:
    """Name of the cache among a model's arguments: transformers 5.24 gave it a new one."""
    arguments = inspect.signature(model.forward).parameters
    return "cache" if "cache" in arguments else "past_key_values"
