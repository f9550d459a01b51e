"""Greedy generation, written out."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from bayeslat.collect.backend import load_torch, load_transformers
from bayeslat.collect.request import Request

__all__ = ["generate_greedily"]


def generate_greedily(
    model: Any, request: Request, on_token: Callable[[], object] = lambda: None
) -> Any:
    """Generate the most likely token `output_tokens` times.

    Written out, since `generate` of transformers spends a part of a small model's time on its own
    bookkeeping, which belongs to no stage. Tokens stay on the device: nothing waits for it.

    Parameters
    ----------
    model : PreTrainedModel
        The model.
    request : Request
        The request.
    on_token : callable, optional
        Called when the work of each token has been given to the device.

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
        tokens = [_next_token(model, **cache, **request.prefill)]
        on_token()
        for step in range(request.output_tokens - 1):
            positions = _positions(request, step, tokens[-1].device)
            tokens.append(_next_token(model, **cache, **positions, input_ids=tokens[-1]))
            on_token()
    return torch.cat(tokens, dim=1)


def _next_token(model: Any, **inputs: Any) -> Any:
    output = model(use_cache=True, logits_to_keep=1, **inputs)
    return output.logits[:, -1].argmax(dim=-1, keepdim=True)


def _positions(request: Request, step: int, device: Any) -> dict[str, Any]:
    """Return the position of a generated token: temporal, height and width, all alike."""
    if request.next_position is None:
        return {}
    shape = (3, request.batch_size, 1)
    position = load_torch().full(shape, request.next_position + step, device=device)
    return {"position_ids": position}


def _cache_argument(model: Any) -> str:
    """Name of the cache among a model's arguments: transformers 5.24 gave it a new one."""
    arguments = inspect.signature(model.forward).parameters
    return "cache" if "cache" in arguments else "past_key_values"
