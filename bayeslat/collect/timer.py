"""Stage times of one request, measured in one pass: marks at its modules and at its tokens."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from bayeslat.collect.clock import Clock
from bayeslat.collect.families import Parts

__all__ = ["StageTimes", "Timeline", "recorded_timeline", "stage_times"]


@dataclass(frozen=True)
class StageTimes:
    """Latencies of one request, for the whole batch, in ms. Nothing falls between them.

    Attributes
    ----------
    vision_encoder_ms : float
        The vision model, without projectors that run inside it.
    projector_ms : float
        The projectors: the merger and the deepstack mergers of Qwen3-VL.
    llm_prefill_ms : float
        The rest up to the first token: embeddings, the language model's first pass, lm_head and
        choice of the token.
    llm_decode_per_token_ms : float
        Mean time from one token to the next, lm_head and choice included; NaN for a single token.
    """

    vision_encoder_ms: float
    projector_ms: float
    llm_prefill_ms: float
    llm_decode_per_token_ms: float

    def total_ms(self, output_tokens: int) -> float:
        """Return the time of the request: the first token comes from the prefill."""
        decode_ms = (output_tokens - 1) * self.llm_decode_per_token_ms if output_tokens > 1 else 0.0
        return self.vision_encoder_ms + self.projector_ms + self.llm_prefill_ms + decode_ms


@dataclass
class Timeline:
    """Marks of one request, in the order in which they were made.

    Attributes
    ----------
    start : mark
        When the request starts.
    tokens : list of mark
        When each token is chosen.
    vision, projector : list of (mark, mark)
        Start and end of each call.
    """

    start: Any = None
    tokens: list[Any] = field(default_factory=list)
    vision: list[tuple[Any, Any]] = field(default_factory=list)
    projector: list[tuple[Any, Any]] = field(default_factory=list)


@contextmanager
def recorded_timeline(parts: Parts, clock: Clock) -> Iterator[Timeline]:
    """Mark start and end of the vision encoder and the projectors inside the block.

    Parameters
    ----------
    parts : Parts
        The model's stages.
    clock : Clock
        The clock of its device.

    Yields
    ------
    Timeline
        Filled call by call. Start and tokens are for who runs the request.
    """
    timeline = Timeline()
    watched = [(parts.vision, timeline.vision)]
    watched += [(projector, timeline.projector) for projector in parts.projectors]
    with ExitStack() as hooks:
        for module, spans in watched:
            for handle in _watch(module, spans, clock):
                hooks.callback(handle.remove)
        yield timeline


def stage_times(timeline: Timeline, parts: Parts, clock: Clock) -> StageTimes:
    """Split the timeline of one request into stages.

    Parameters
    ----------
    timeline : Timeline
        Of exactly one request, which is done on the device.
    parts : Parts
    clock : Clock

    Returns
    -------
    StageTimes
    """
    vision_ms = sum(clock.elapsed_ms(*span) for span in timeline.vision)
    projector_ms = sum(clock.elapsed_ms(*span) for span in timeline.projector)
    within = set(parts.vision.modules())
    if all(projector in within for projector in parts.projectors):
        vision_ms -= projector_ms
    first, last, steps = timeline.tokens[0], timeline.tokens[-1], len(timeline.tokens) - 1
    return StageTimes(
        vision_encoder_ms=vision_ms,
        projector_ms=projector_ms,
        llm_prefill_ms=clock.elapsed_ms(timeline.start, first) - vision_ms - projector_ms,
        llm_decode_per_token_ms=clock.elapsed_ms(first, last) / steps if steps else math.nan,
    )


def _watch(module: Any, spans: list[tuple[Any, Any]], clock: Clock) -> tuple[Any, Any]:
    started: list[Any] = []

    def start(*_: object) -> None:
        started.append(clock.mark())

    def end(*_: object) -> None:
        spans.append((started.pop(), clock.mark()))

    return module.register_forward_pre_hook(start), module.register_forward_hook(end)
