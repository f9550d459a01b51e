"""Stage times of one request, measured in one pass by hooks on the model's modules."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Spans", "StageTimes", "recorded_spans", "stage_times"]


@dataclass(frozen=True)
class StageTimes:
    """Latencies of one request, for the whole batch, in ms.

    Attributes
    ----------
    vision_encoder_ms : float
        The vision model without its mergers.
    projector_ms : float
        The merger and the deepstack mergers.
    llm_prefill_ms : float
        First pass of the language model, and its lm_head.
    llm_decode_per_token_ms : float
        Mean over the later passes, each with its lm_head; NaN if there are none.
    end_to_end_ms : float
        The whole request, with the work that is in no stage.
    """

    vision_encoder_ms: float
    projector_ms: float
    llm_prefill_ms: float
    llm_decode_per_token_ms: float
    end_to_end_ms: float


@dataclass
class Spans:
    """Durations of module calls in ns, in the order of the calls.

    Attributes
    ----------
    visual_ns, merger_ns, language_model_ns, lm_head_ns : list of int
        One entry per call; `merger_ns` holds the projector's and the deepstack mergers' calls.
    """

    visual_ns: list[int] = field(default_factory=list)
    merger_ns: list[int] = field(default_factory=list)
    language_model_ns: list[int] = field(default_factory=list)
    lm_head_ns: list[int] = field(default_factory=list)


@contextmanager
def recorded_spans(model: Any) -> Iterator[Spans]:
    """Record the duration of each stage module's calls inside the block.

    Parameters
    ----------
    model : Qwen3VLMoeForConditionalGeneration
        The model, on the CPU: the clock is read when a module starts and returns.

    Yields
    ------
    Spans
        Filled call by call.
    """
    spans = Spans()
    visual = model.model.visual
    watched = [
        (visual, spans.visual_ns),
        (model.model.language_model, spans.language_model_ns),
        (model.lm_head, spans.lm_head_ns),
        *((merger, spans.merger_ns) for merger in (visual.merger, *visual.deepstack_merger_list)),
    ]
    with ExitStack() as hooks:
        for module, durations in watched:
            for handle in _watch(module, durations):
                hooks.callback(handle.remove)
        yield spans


def stage_times(spans: Spans, end_to_end_ns: int) -> StageTimes:
    """Sum the spans of one request into stages.

    Parameters
    ----------
    spans : Spans
        The spans of exactly one request.
    end_to_end_ns : int
        Duration of the whole request.

    Returns
    -------
    StageTimes
    """
    steps_ns = [
        language_model + lm_head
        for language_model, lm_head in zip(spans.language_model_ns, spans.lm_head_ns, strict=True)
    ]
    prefill_ns, decode_ns = steps_ns[0], steps_ns[1:]
    projector_ns = sum(spans.merger_ns)
    return StageTimes(
        vision_encoder_ms=(sum(spans.visual_ns) - projector_ns) / 1e6,
        projector_ms=projector_ns / 1e6,
        llm_prefill_ms=prefill_ns / 1e6,
        llm_decode_per_token_ms=(
            sum(decode_ns) / len(decode_ns) / 1e6 if decode_ns else float("nan")
        ),
        end_to_end_ms=end_to_end_ns / 1e6,
    )


def _watch(module: Any, durations: list[int]) -> tuple[Any, Any]:
    started = [0]

    def start(*_: object) -> None:
        started[0] = time.perf_counter_ns()

    def stop(*_: object) -> None:
        durations.append(time.perf_counter_ns() - started[0])

    hooks: tuple[Callable[..., None], Callable[..., None]] = (start, stop)
    return module.register_forward_pre_hook(hooks[0]), module.register_forward_hook(hooks[1])
