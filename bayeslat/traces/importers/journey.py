"""A request's way through the scheduler, from the events that vLLM's journey tracing writes.

Times and intervals are those of BLIS's training code (inference-sim/training,
`reconstruct_steps.py`): queueing = SCHEDULED - QUEUED, prefill = FIRST_TOKEN - SCHEDULED, decode =
FINISHED - FIRST_TOKEN, each without the gaps from PREEMPTED to the SCHEDULED that resumes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Interval", "Journey", "JourneyEvent", "Times"]

_NEEDED = ("QUEUED", "SCHEDULED", "FIRST_TOKEN", "FINISHED")


@dataclass(frozen=True, slots=True)
class JourneyEvent:
    """Something that happened to a request.

    Attributes
    ----------
    name : str
        QUEUED, SCHEDULED, FIRST_TOKEN, PREEMPTED or FINISHED.
    step : int
        The scheduler's iteration.
    at_s : float
        When, by a clock that only moves forwards.
    prefill_done, prefill_total, decode_done : int
        Tokens of the prompt that are computed, of all of it, and generated.
    resumes : bool
        Of SCHEDULED: whether it follows a PREEMPTED.
    status : str
        Of FINISHED: why.
    """

    name: str
    step: int
    at_s: float
    prefill_done: int = 0
    prefill_total: int = 0
    decode_done: int = 0
    resumes: bool = False
    status: str = ""


@dataclass(frozen=True, slots=True)
class Times:
    """How long the stages of a request took, s."""

    queueing_s: float
    prefill_s: float
    decode_s: float
    first_token_s: float
    end_to_end_s: float
    preemptions: int


@dataclass(frozen=True, slots=True)
class Interval:
    """Steps in which a request is in the batch.

    Attributes
    ----------
    first, last : int
        Both are in it.
    decode : bool
        Whether it generates a token in each step, or computes its prompt.
    tokens : int
        Of the prompt that are computed in the interval; of decode, tokens that were generated
        before it, the first one included.
    prompt_tokens : int
    """

    first: int
    last: int
    decode: bool
    tokens: int
    prompt_tokens: int


@dataclass(frozen=True, slots=True)
class Journey:
    """A request from its queue to its end.

    Attributes
    ----------
    request_id : str
    events : sequence of JourneyEvent
        In any order; an export may mix them.
    """

    request_id: str
    events: Sequence[JourneyEvent]

    @property
    def is_whole(self) -> bool:
        """Whether the request was queued, scheduled, had a first token and finished."""
        names = {event.name for event in self.events}
        return all(name in names for name in _NEEDED)

    def in_order(self) -> list[JourneyEvent]:
        """Return the events by step, and by time in a step."""
        return sorted(self.events, key=lambda event: (event.step, event.at_s))

    def times(self) -> Times:
        """Return how long its stages took.

        Raises
        ------
        KeyError
            The journey is not whole.
        """
        events = self.in_order()
        first = {event.name: event for event in reversed(events)}
        first_token = first["FIRST_TOKEN"].at_s
        gaps = _gaps(events)
        before = sum(end - start for start, end in gaps if start < first_token)
        after = sum(end - start for start, end in gaps if start >= first_token)
        queued, scheduled, finished = (
            first[name].at_s for name in ("QUEUED", "SCHEDULED", "FINISHED")
        )
        return Times(
            queueing_s=scheduled - queued,
            prefill_s=first_token - scheduled - before,
            decode_s=finished - first_token - after,
            first_token_s=first_token - queued,
            end_to_end_s=finished - queued,
            preemptions=sum(event.name == "PREEMPTED" for event in events),
        )

    def intervals(self) -> list[Interval]:
        """Return when it was in the batch, and for what.

        A request is in the batch in the step of its first token and of its end, and not in the step
        that preempts it.
        """
        found: list[Interval] = []
        start, done, decoding = -1, 0, False  # start -1: not in the batch
        generated = 1
        prompt = next((event.prefill_total for event in self.events if event.prefill_total), 0)
        for event in self.in_order():
            if event.name == "SCHEDULED":
                start, done = event.step, event.prefill_done
                continue
            if event.name not in ("FIRST_TOKEN", "PREEMPTED", "FINISHED") or start < 0:
                continue
            last = event.step - (event.name == "PREEMPTED")
            if last >= start:
                tokens = generated if decoding else event.prefill_done - done
                found.append(Interval(start, last, decoding, tokens, prompt))
                generated += decoding * (last - start + 1)
            decoding = decoding or event.name == "FIRST_TOKEN"
            start = event.step + 1 if event.name == "FIRST_TOKEN" else -1
        return found


def _gaps(events: Sequence[JourneyEvent]) -> list[tuple[float, float]]:
    """Return from when to when the request was out of the batch."""
    out = [event.at_s for event in events if event.name == "PREEMPTED"]
    back = [event.at_s for event in events if event.name == "SCHEDULED" and event.resumes]
    return list(zip(out, back, strict=False))  # one that was never resumed has no gap
