"""One measurement: passes until the time is steady, then one with the stage timer on."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from bayeslat.collect.clock import Clock, clock_of
from bayeslat.collect.generate import generate_greedily
from bayeslat.collect.request import Request
from bayeslat.collect.timer import StageTimes, recorded_timeline, stage_times
from bayeslat.collect.vlm import Vlm

__all__ = ["Measurement", "WarmUp", "measure", "warm_up"]

_STEADY = 0.05
"""Passes are steady when one takes at most this much more or less than the one before it."""
_MOST_PASSES = 6


@dataclass(frozen=True)
class WarmUp:
    """How a request was warmed up.

    Attributes
    ----------
    end_to_end_ms : float
        Time of the last pass, without the stage timer.
    passes : int
    steady : bool
        Whether the last two passes agreed.
    """

    end_to_end_ms: float
    passes: int
    steady: bool


@dataclass(frozen=True)
class Measurement:
    """One measured request.

    Attributes
    ----------
    stages : StageTimes
        Of one pass.
    warm_up : WarmUp
        Of the passes before it.
    """

    stages: StageTimes
    warm_up: WarmUp


def measure(vlm: Vlm, request: Request) -> Measurement:
    """Measure a request once.

    Parameters
    ----------
    vlm : Vlm
        The model, with its knobs set.
    request : Request

    Returns
    -------
    Measurement
    """
    clock = clock_of(vlm.model.device)
    with _no_garbage_collection():
        warmed = warm_up(vlm, request, clock)
        with recorded_timeline(vlm.parts, clock) as timeline:
            clock.settle()
            timeline.start = clock.mark()
            generate_greedily(vlm.model, request, lambda: timeline.tokens.append(clock.mark()))
            clock.settle()
    return Measurement(stage_times(timeline, vlm.parts, clock), warmed)


def warm_up(vlm: Vlm, request: Request, clock: Clock) -> WarmUp:
    """Run a request until two passes in a row take the same time.

    After other configurations a pass is slower: caches are cold, and libraries prepare a kernel
    for each new shape of a matrix.

    Parameters
    ----------
    vlm : Vlm
        The model, with its knobs set.
    request : Request
    clock : Clock
        The clock of its device.

    Returns
    -------
    WarmUp
    """
    times_ms = [_pass_ms(vlm, request, clock)]
    while len(times_ms) < _MOST_PASSES:
        times_ms.append(_pass_ms(vlm, request, clock))
        if _agree(*times_ms[-2:]):
            break
    return WarmUp(times_ms[-1], len(times_ms), _agree(*times_ms[-2:]))


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Keep Python from looking through a million objects in the middle of a pass."""
    was_enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _agree(before_ms: float, after_ms: float) -> bool:
    return abs(after_ms - before_ms) <= _STEADY * before_ms


def _pass_ms(vlm: Vlm, request: Request, clock: Clock) -> float:
    """Return the time that a caller waits for a pass."""
    clock.settle()
    start_ns = time.perf_counter_ns()
    generate_greedily(vlm.model, request)
    clock.settle()
    return (time.perf_counter_ns() - start_ns) / 1e6
