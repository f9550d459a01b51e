"""What was in the batch at each step, from the journeys of all requests.

The sweep of BLIS's training code (inference-sim/training, `reconstruct_steps.py`): a decoding
request adds one token; what the budget leaves goes to prompts, the first scheduled first. A prompt
that is computed in one step is exact, whatever the budget.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bayeslat.traces.importers.journey import Intervals, Journey, Journeys

__all__ = ["Batches", "reconstruct_steps"]

type Counts = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Batches:
    """The batch of each step in which a request was in it.

    Attributes
    ----------
    step : ndarray of int, shape (step,)
        In order.
    prefill_requests, prefill_tokens : ndarray of int, shape (step,)
    decode_requests : ndarray of int, shape (step,)
        As many as tokens are decoded.
    context_tokens : ndarray of int, shape (step,)
        Tokens of the decoding requests so far: their prompts, and what they generated.
    attended_tokens : ndarray of int, shape (step,)
        Sum over all prompt tokens that go in of the tokens that each attends to, with itself.
    """

    step: Counts
    prefill_requests: Counts
    prefill_tokens: Counts
    decode_requests: Counts
    context_tokens: Counts
    attended_tokens: Counts


def reconstruct_steps(
    journeys: Iterable[Journey] | Intervals, max_num_batched_tokens: int | None = None
) -> Batches:
    """Rebuild the batch of each step.

    Parameters
    ----------
    journeys : iterable of Journey, or Intervals
        Of all requests of an engine; those that are not whole are passed over.
    max_num_batched_tokens : int, optional
        The budget of tokens of a step. Without it, a prompt that takes several steps counts in the
        first of them.

    Returns
    -------
    Batches
    """
    if not isinstance(journeys, Intervals):
        journeys = Journeys.of(each for each in journeys if each.is_whole).intervals()
    scheduled, first, last, decode, tokens, prompt, past = journeys
    if not len(first):
        nothing = np.empty(0, dtype=np.int64)
        return Batches(nothing, nothing, nothing, nothing, nothing, nothing)
    origin = int(first.min())
    steps = np.arange(origin, int(last.max()) + 1)
    decoding = decode == 1
    begin, end = first[decoding] - origin, last[decoding] + 1 - origin
    requests = _running(begin, end, np.ones(len(begin), dtype=np.int64), len(steps))
    # Its context grows by one a step: what does not change is summed, and the step times the count.
    fixed = (prompt + tokens - first)[decoding]
    context = _running(begin, end, fixed, len(steps)) + steps * requests
    prompts = np.stack([scheduled, first - origin, last - origin, tokens, past])[:, ~decoding]
    prefill_requests, prefill_tokens, attended = _prefill(prompts, requests, max_num_batched_tokens)
    busy = (requests > 0) | (prefill_requests > 0)
    return Batches(
        steps[busy],
        prefill_requests[busy],
        prefill_tokens[busy],
        requests[busy],
        context[busy],
        attended[busy],
    )


def _running(begin: Counts, end: Counts, amounts: Counts, n_steps: int) -> Counts:
    """Return the sum at each step of what is there from its begin to before its end."""
    change = np.zeros(n_steps + 1, dtype=np.int64)
    np.add.at(change, begin, amounts)
    np.add.at(change, end, -amounts)
    return np.cumsum(change)[:-1]


def _prefill(
    prompts: Counts, decoding: Counts, budget: int | None
) -> tuple[Counts, Counts, Counts]:
    """Return the requests and tokens of prompts at each step, and what these attend to.

    Parameters
    ----------
    prompts : ndarray of int, shape (5, interval)
        When each request was first scheduled, ns, the first and last step, the tokens, and those
        that came before.
    decoding : ndarray of int, shape (step,)
    budget : int or None

    Returns
    -------
    requests, tokens, attended : ndarray of int, shape (step,)
    """
    requests, tokens, attended = np.zeros((3, len(decoding)), dtype=np.int64)
    order = np.argsort(prompts[0], kind="stable")
    _, first, last, total, before = prompts[:, order]
    long = last > first
    exact = ~long & (total > 0)
    np.add.at(requests, first[exact], 1)
    np.add.at(tokens, first[exact], total[exact])
    np.add.at(attended, first[exact], _attended(before[exact], total[exact]))
    at_step = _by_step(first, last, exact | (long & (total > 0)), long)
    left = total.copy()
    for step, places in at_step.items():
        room = np.iinfo(np.int64).max if budget is None else budget - int(decoding[step])
        for place in places:
            chunk = int(total[place]) if exact[place] else min(int(left[place]), max(room, 0))
            room -= chunk
            if not exact[place] and chunk:
                done = before[place] + total[place] - left[place]
                attended[step] += _attended(done, np.int64(chunk))
                left[place] -= chunk
                requests[step] += 1
                tokens[step] += chunk
    return requests, tokens, attended


def _attended[T: (Counts, np.int64)](before: T, tokens: T) -> T:
    """Return the tokens that some of a prompt attend to, with themselves."""
    return before * tokens + tokens * (tokens + 1) // 2


def _by_step(
    first: Counts, last: Counts, counts: NDArray[np.bool_], long: NDArray[np.bool_]
) -> dict[int, list[int]]:
    """Return which prompts are computed at each step that a long one shares, in their order."""
    shared: dict[int, list[int]] = {}
    for place in np.flatnonzero(long & counts):
        for step in range(int(first[place]), int(last[place]) + 1):
            shared.setdefault(step, [])
    for place in np.flatnonzero(counts) if shared else ():
        for step in range(int(first[place]), int(last[place]) + 1):
            if step in shared:
                shared[step].append(int(place))
    return dict(sorted(shared.items()))
