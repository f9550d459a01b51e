"""How much of the KV cache each step of an engine read, from what its requests came to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Contexts", "Finished", "Steps", "find_contexts"]

type Counts = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Steps:
    """What an engine tells of its steps.

    Attributes
    ----------
    step_id : ndarray of int, shape (step,)
        Counted by the engine, ascending; some may be missing.
    prefill_requests, prefill_tokens, decode_requests : ndarray of int, shape (step,)
    is_full : ndarray of bool, shape (step,)
        Whether no further token fitted in: only then is a prompt worked on in part.
    """

    step_id: Counts
    prefill_requests: Counts
    prefill_tokens: Counts
    decode_requests: Counts
    is_full: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Finished:
    """What an engine tells of the requests that have finished, each undisturbed.

    Attributes
    ----------
    step_id : ndarray of int, shape (request,)
        The step that made the last token.
    prompt_tokens, cached_tokens, output_tokens : ndarray of int, shape (request,)
        Cached tokens are part of the prompt; there is one output token or more.
    scheduled_s : ndarray of float, shape (request,)
        When each was first part of a step, by any clock.
    """

    step_id: Counts
    prompt_tokens: Counts
    cached_tokens: Counts
    output_tokens: Counts
    scheduled_s: NDArray[np.float64]

    @property
    def first_step_id(self) -> Counts:
        """The step that made the first token: from then on each step makes one."""
        return self.step_id - self.output_tokens + 1


@dataclass(frozen=True, slots=True)
class Contexts:
    """What the requests of each step attended to.

    Attributes
    ----------
    decode_context_tokens : ndarray of int, shape (step,)
        Sum over the requests in decode of all their tokens so far, with the one that goes in.
    prefill_past_tokens : ndarray of int, shape (step,)
        Sum over the requests in prefill of their tokens that were in the cache before.
    prefill_attended_tokens : ndarray of int, shape (step,)
        Sum over all prompt tokens that go in of the tokens that each attends to, with itself.
    is_exact : ndarray of bool, shape (step,)
        Whether the requests that are known make up exactly the batch that the engine tells.
        Elsewhere the others are zero.
    """

    decode_context_tokens: Counts
    prefill_past_tokens: Counts
    prefill_attended_tokens: Counts
    is_exact: NDArray[np.bool_]


def find_contexts(steps: Steps, finished: Finished) -> Contexts:
    """Put the batches of an engine together again from the requests that it finished.

    The engine tells how many requests and tokens a step held, not which. But a request that
    finished in step L with n tokens made its first in step L - n + 1 and one in each step since,
    and prompts are worked on in the order in which they were scheduled, only the last of a step in
    part. So whole numbers tell which requests were in which step, and no clock is needed. Where a
    request was interrupted, or never finished, the counts do not agree with the engine's, and the
    step is not exact.

    Parameters
    ----------
    steps : Steps
    finished : Finished
        Without requests that were preempted, or whose steps made several tokens.

    Returns
    -------
    Contexts
    """
    decode_requests, decode_context = _decode(steps, finished)
    past, attended, fits = _prefill(steps, finished)
    exact = fits & (decode_requests == steps.decode_requests)
    return Contexts(
        np.where(exact, decode_context, 0),
        np.where(exact, past, 0),
        np.where(exact, attended, 0),
        exact,
    )


def _decode(steps: Steps, finished: Finished) -> tuple[Counts, Counts]:
    """Return the requests in decode of each step, and the sum of their contexts.

    A request with a prompt of p tokens whose first token came in step F reads p + (j - F) of them
    in step j: a sum of what it adds when it enters, and of j times their number.
    """
    ids = steps.step_id
    enters = np.searchsorted(ids, finished.first_step_id, side="right")
    leaves = np.searchsorted(ids, finished.step_id, side="right")
    constant = finished.prompt_tokens - finished.first_step_id
    count, total = np.zeros((2, ids.size + 1), dtype=np.int64)
    for where, sign in ((enters, 1), (leaves, -1)):
        np.add.at(count, where, sign)
        np.add.at(total, where, sign * constant)
    requests = np.cumsum(count)[:-1]
    return requests, np.cumsum(total)[:-1] + ids * requests


def _prefill(steps: Steps, finished: Finished) -> tuple[Counts, Counts, NDArray[np.bool_]]:
    """Return the past and attended tokens of the prefill of each step, and whether it is known."""
    first = finished.first_step_id
    order = np.lexsort((finished.scheduled_s, first))
    queue = [
        _Prompt(*numbers)
        for numbers in zip(
            first[order].tolist(),
            finished.cached_tokens[order].tolist(),
            finished.prompt_tokens[order].tolist(),
            strict=True,
        )
    ]
    queue.reverse()
    told = zip(
        steps.step_id.tolist(),
        steps.prefill_requests.tolist(),
        steps.prefill_tokens.tolist(),
        steps.is_full.tolist(),
        strict=True,
    )
    worked = [_work(queue, *step) for step in told]
    past, attended = np.array([each[:2] for each in worked], dtype=np.int64).reshape(-1, 2).T
    return past, attended, _fits(worked)


def _fits(worked: list[_Worked]) -> NDArray[np.bool_]:
    """Return which steps are known: where one is not, nor are the others of its prompts."""
    fits = np.array([each.fits for each in worked], dtype=bool)
    doubtful = {id(prompt) for each in worked if not each.fits for prompt in each.prompts}
    for row, each in enumerate(worked):
        fits[row] &= not doubtful & {id(prompt) for prompt in each.prompts}
    return fits


@dataclass(slots=True)
class _Prompt:
    """A prompt that is worked on."""

    first_step_id: int
    done: int
    tokens: int


class _Worked(NamedTuple):
    """What a step did for prompts, and whether that is what the engine told."""

    past: int
    attended: int
    fits: bool
    prompts: list[_Prompt]


def _work(queue: list[_Prompt], step_id: int, requests: int, tokens: int, is_full: bool) -> _Worked:
    """Let the prompts that are next take a step's tokens; the queue's end comes first."""
    past = attended = 0
    fits = True
    prompts = []
    while queue and queue[-1].first_step_id < step_id:
        prompts.append(queue.pop())  # the tokens that it lacks went to another, or a step did
        fits = False
    while queue and tokens:
        prompt = queue[-1]
        left = prompt.tokens - prompt.done
        if tokens < left and not is_full:
            break  # these are tokens of a request that never finished
        chunk = min(tokens, left)
        past += prompt.done
        attended += chunk * prompt.done + chunk * (chunk + 1) // 2
        prompt.done += chunk
        tokens -= chunk
        requests -= 1
        prompts.append(prompt)
        if chunk == left:
            queue.pop()
            fits = fits and prompt.first_step_id == step_id
    if queue and queue[-1].first_step_id == step_id:
        prompts.append(queue[-1])
        fits = False
    return _Worked(past, attended, fits and not tokens and not requests, prompts)
