"""Requests' ways through the scheduler, from the events that vLLM's journey tracing writes.

Times and intervals are those of BLIS's training code (inference-sim/training,
`reconstruct_steps.py`): queueing = SCHEDULED - QUEUED, prefill = FIRST_TOKEN - SCHEDULED, decode =
FINISHED - FIRST_TOKEN, each without the gaps from PREEMPTED to the SCHEDULED that resumes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["EVENTS", "NEEDED", "Intervals", "Journey", "JourneyEvent", "Journeys", "Times"]

type Numbers = NDArray[np.float64]
type Counts = NDArray[np.int64]

#: Names of events, of which a journey without one of `NEEDED` is not whole. Others are OTHER.
EVENTS = ("QUEUED", "SCHEDULED", "FIRST_TOKEN", "FINISHED", "PREEMPTED", "OTHER")
NEEDED = frozenset(EVENTS[:4])
_PLACE = {name: place for place, name in enumerate(EVENTS)}


class JourneyEvent(NamedTuple):
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
    """

    name: str
    step: int
    at_s: float
    prefill_done: int = 0
    prefill_total: int = 0
    decode_done: int = 0
    resumes: bool = False


_FIELD = {name: place for place, name in enumerate(JourneyEvent._fields)}


class Times(NamedTuple):
    """How long the stages of requests took, s, each of shape (request,)."""

    queueing_s: Numbers
    prefill_s: Numbers
    decode_s: Numbers
    first_token_s: Numbers
    end_to_end_s: Numbers
    preemptions: Counts


class Intervals(NamedTuple):
    """Steps in which requests are in the batch, each of shape (interval,).

    Attributes
    ----------
    scheduled_ns : ndarray of int
        When the request was first scheduled.
    first, last : ndarray of int
        Both are in it.
    decode : ndarray of int
        Whether it generates a token in each step, 1, or computes its prompt, 0.
    tokens : ndarray of int
        Of the prompt that are computed in the interval; of decode, tokens that were generated
        before it, the first one included.
    prompt_tokens : ndarray of int
    past_tokens : ndarray of int
        Of the prompt that were computed, or found in the cache, before the interval.
    """

    scheduled_ns: Counts
    first: Counts
    last: Counts
    decode: Counts
    tokens: Counts
    prompt_tokens: Counts
    past_tokens: Counts


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
        return {event.name for event in self.events} >= NEEDED

    def times(self) -> Times:
        """Return how long its stages took; it has to be whole."""
        return Journeys.of([self]).times()


@dataclass(frozen=True, slots=True)
class Journeys:
    """Requests from their queue to their end, each of which is whole.

    Attributes
    ----------
    n_requests : int
    request : ndarray of int, shape (event,)
        The request that each event is of, ascending.
    cells : ndarray of float, shape (field, event)
        What is known of each: the fields of JourneyEvent, of which the name is its place in
        `EVENTS`, and perhaps others. Those of a request are in order.
    """

    n_requests: int
    request: Counts
    cells: Numbers

    @classmethod
    def of(cls, journeys: Iterable[Journey]) -> Journeys:
        """Put journeys together."""
        whole = list(journeys)
        request = np.repeat(np.arange(len(whole)), [len(journey.events) for journey in whole])
        cells = [(_PLACE[event.name], *event[1:]) for journey in whole for event in journey.events]
        fields = len(JourneyEvent._fields)
        return cls.sorted(request, np.array(cells, dtype=np.float64).reshape(-1, fields).T)

    @classmethod
    def sorted(cls, request: Counts, cells: Numbers) -> Journeys:
        """Put the events of requests in order, by step, and by time in a step.

        Parameters
        ----------
        request : ndarray of int, shape (event,)
            Counted from 0 on.
        cells : ndarray of float, shape (field, event)
        """
        step, at_s = (cells[_FIELD[name]] for name in ("step", "at_s"))
        order = np.lexsort((at_s, step, request))
        return cls(int(request.max(initial=-1)) + 1, request[order], cells[:, order])

    def __getitem__(self, field: str) -> Numbers:
        """Return a field of JourneyEvent, shape (event,)."""
        cells: Numbers = self.cells[_FIELD[field]]
        return cells

    @property
    def last(self) -> Counts:
        """The place of the last event of each request, shape (request,)."""
        return np.searchsorted(self.request, np.arange(self.n_requests), side="right") - 1

    def first(self, name: str) -> Counts:
        """Return the place of the first event of a name of each request, shape (request,)."""
        events = np.flatnonzero(self._is(name))
        _, places = np.unique(self.request[events], return_index=True)
        return events[places]

    def _is(self, name: str) -> NDArray[np.bool_]:
        return np.equal(self["name"], _PLACE[name])

    def times(self) -> Times:
        """Return how long the stages took."""
        at_s = self["at_s"]
        queued, scheduled, first_token, finished = (
            at_s[self.first(name)] for name in ("QUEUED", "SCHEDULED", "FIRST_TOKEN", "FINISHED")
        )
        out, back = self._gaps()
        request = self.request[out]
        gaps, late = at_s[back] - at_s[out], at_s[out] >= first_token[request]
        before = np.bincount(request[~late], gaps[~late], self.n_requests)
        after = np.bincount(request[late], gaps[late], self.n_requests)
        return Times(
            queueing_s=scheduled - queued,
            prefill_s=first_token - scheduled - before,
            decode_s=finished - first_token - after,
            first_token_s=first_token - queued,
            end_to_end_s=finished - queued,
            preemptions=np.bincount(self.request[self._is("PREEMPTED")], minlength=self.n_requests),
        )

    def intervals(self) -> Intervals:
        """Return when requests were in the batch, and for what.

        A request is in the batch in the step of its first token and of its end, and not in the step
        that preempts it.
        """
        scheduled, starts, preempted = map(self._is, ("SCHEDULED", "FIRST_TOKEN", "PREEMPTED"))
        events = np.flatnonzero(scheduled | starts | preempted | self._is("FINISHED"))
        begin, end = events[:-1], events[1:]
        inside = (scheduled | starts)[begin] & ~scheduled[end]
        inside &= self.request[begin] == self.request[end]
        begin, end = begin[inside], end[inside]
        step = self["step"].astype(np.int64)
        first, last = step[begin] + starts[begin], step[end] - preempted[end]
        lasts = last >= first
        begin, end, first, last = begin[lasts], end[lasts], first[lasts], last[lasts]
        request = self.request[end]
        decode = end > self.first("FIRST_TOKEN")[request]
        # What a request generated before an interval: one with its first token, one a step since.
        steps = np.cumsum(decode * (last - first + 1)) - decode * (last - first + 1)
        generated = 1 + steps - steps[np.searchsorted(request, request)]
        prefilled = self["prefill_done"].astype(np.int64)
        prompts = np.zeros(self.n_requests, dtype=np.int64)
        np.maximum.at(prompts, self.request, self["prefill_total"].astype(np.int64))
        return Intervals(
            scheduled_ns=np.rint(1e9 * self["at_s"][self.first("SCHEDULED")[request]]).astype(int),
            first=first,
            last=last,
            decode=decode.astype(np.int64),
            tokens=np.where(decode, generated, prefilled[end] - prefilled[begin]),
            prompt_tokens=prompts[request],
            past_tokens=prefilled[begin],
        )

    def _gaps(self) -> tuple[Counts, Counts]:
        """Return the events from and to which requests were out of the batch.

        The first preemption of a request belongs to its first resumption, and so on; one that was
        never resumed has no gap.
        """
        out = np.flatnonzero(self._is("PREEMPTED"))
        back = np.flatnonzero(self._is("SCHEDULED") & (self["resumes"] > 0))
        _, from_place, to_place = np.intersect1d(
            self._numbered(out), self._numbered(back), assume_unique=True, return_indices=True
        )
        return out[from_place], back[to_place]

    def _numbered(self, events: Counts) -> Counts:
        """Return a number for each event: those of each request count from the same one on."""
        request = self.request[events]
        place = np.arange(len(events)) - np.searchsorted(request, request)
        return request * len(self.request) + place
