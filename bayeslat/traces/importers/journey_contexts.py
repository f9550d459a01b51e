"""What the requests of a step attend to, where journeys tell which requests are in it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bayeslat.traces.importers.reconstruct import Batches

__all__ = ["JourneyContexts", "find_journey_contexts"]

type Numbers = NDArray[np.float64]


class JourneyContexts(NamedTuple):
    """What the requests of steps attend to, each of shape (step,); NaN where nobody knows.

    Attributes
    ----------
    kv_read_tokens : ndarray
        What the step reads of the cache; known where the journeys tell as many decoding requests.
    decode_context_tokens : ndarray
        Tokens of the decoding requests so far.
    prefill_attended_tokens : ndarray
        Sum over the prompt tokens of the tokens that each attends to.
    is_exact : ndarray of bool
        Whether the journeys tell the batch that the step tells.
    """

    kv_read_tokens: Numbers
    decode_context_tokens: Numbers
    prefill_attended_tokens: Numbers
    is_exact: NDArray[np.bool_]


def find_journey_contexts(
    batches: Batches,
    step: Numbers,
    prefill_requests: Numbers,
    prefill_tokens: Numbers,
    decode_requests: Numbers,
) -> JourneyContexts:
    """Find what the requests of each step attend to.

    Where the journeys tell another batch than the step does, its decoding requests are taken to be
    as long as those of the journeys in it, or else on average, and its prompts to be alike, whole
    and without a past.

    Parameters
    ----------
    batches : Batches
        Of the journeys.
    step : ndarray, shape (step,)
        Counted as in `batches`.
    prefill_requests, prefill_tokens, decode_requests : ndarray, shape (step,)
        What the steps tell of themselves.

    Returns
    -------
    JourneyContexts
    """
    place, there = _find(batches, step)

    def told(values: NDArray[np.int64]) -> Numbers:
        found = np.full(len(step), np.nan)
        found[there] = values[place[there]]
        return found

    no_decode, no_prompt = decode_requests == 0, prefill_tokens == 0
    requests, context = told(batches.decode_requests), told(batches.context_tokens)
    same_decode = no_decode | (requests == decode_requests)
    same_prompts = no_prompt | (
        (told(batches.prefill_requests) == prefill_requests)
        & (told(batches.prefill_tokens) == prefill_tokens)
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        usual = np.float64(batches.context_tokens.sum()) / batches.decode_requests.sum()
        each = context / requests
    estimated = np.round(np.where(each > 0, each, usual) * decode_requests)
    known = np.where(no_decode, 0.0, context)
    alike = np.round(prefill_tokens * (prefill_tokens / np.maximum(prefill_requests, 1) + 1) / 2)
    attended = np.where(same_prompts, told(batches.attended_tokens), alike)
    return JourneyContexts(
        kv_read_tokens=np.where(same_decode, known, np.nan),
        decode_context_tokens=np.where(same_decode, known, estimated),
        prefill_attended_tokens=np.where(no_prompt, 0.0, attended),
        is_exact=same_decode & same_prompts,
    )


def _find(batches: Batches, step: Numbers) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return the place of each step among the batches, and whether it is there."""
    place = np.searchsorted(batches.step, step)
    there = place < len(batches.step)
    there[there] = batches.step[place[there]] == step[there]
    return place, there
