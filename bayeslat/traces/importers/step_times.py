"""Times of an engine's steps, whether or not the engine waits for the model where it times them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bayeslat.traces.importers.vllm_log import Log

__all__ = ["step_times_ms", "waits_for_its_steps"]


def waits_for_its_steps(log: Log) -> bool:
    """Return whether the engine times all of a step, not just what is left of it when it looks."""
    config = log.told("config")
    return not config.get("async_scheduling") and config.get("executor") != "uni"


def step_times_ms(log: Log) -> NDArray[np.float64]:
    """Return the time of each step, NaN where it is not known. Shape (step,).

    That is what the engine says of an engine that waits for the model. Of another it is the
    interval between the outputs of two steps, as requests saw it that were decoded in both; where
    none was and nothing but whole prompts ran, the time from when these were scheduled to their
    first tokens. (While others are decoded such an engine schedules a step before the one before it
    has ended, so there it would be too long.)
    """
    if waits_for_its_steps(log):
        return log.steps.numbers("elapsed_ms")
    interval_ms = log.steps.numbers("gap_ms")
    return np.where(np.isnan(interval_ms), _first_tokens_ms(log), interval_ms)


def _first_tokens_ms(log: Log) -> NDArray[np.float64]:
    """Time to the first tokens of steps in which nothing but whole prompts ran. Shape (step,)."""
    steps, requests = log.steps, log.requests
    found = np.full(len(steps), np.nan)
    if not len(steps):
        return found
    prefill_ms = requests.numbers("prefill_ms")
    first = requests.numbers("iteration") - (requests.counts("output_tokens") - 1)
    ids = steps.counts("iteration")
    place = np.searchsorted(ids, first).clip(0, len(ids) - 1)
    known = (ids[place] == first) & log.can_be_counted_back & (prefill_ms > 0)
    place = place[known]
    prompt = (requests.counts("prompt_tokens") - requests.counts("cached_tokens"))[known]
    whole = (
        (np.bincount(place, minlength=len(ids)) == steps.counts("prefill_requests"))
        & (np.bincount(place, prompt, len(ids)) == steps.counts("prefill_tokens"))
        & (steps.counts("prefill_tokens") > 0)
        & (steps.counts("decode_requests") == 0)
    )
    np.fmin.at(found, place, prefill_ms[known])
    found[~whole] = np.nan
    return found
