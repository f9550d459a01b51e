"""Journeys put together from BLIS's spans `llm_core`; those of one request may come apart."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bayeslat.traces.formats.content import refuse
from bayeslat.traces.importers.journey import EVENTS, NEEDED, Journeys
from bayeslat.traces.importers.span_columns import Spans

__all__ = ["JourneyParts"]

type Numbers = NDArray[np.float64]
type Places = NDArray[np.int64]

_LONGEST_S = 9e9  # in 64 bits of ns
_WHOLE = 2**53  # up to here float64 holds every whole number

_KINDS = {f"journey.{name}": place for place, name in enumerate(EVENTS)}
_NEEDED = frozenset(_KINDS[f"journey.{name}"] for name in NEEDED)
_PROGRESS = ("prefill.done_tokens", "prefill.total_tokens", "decode.done_tokens")


@dataclass(slots=True)
class JourneyParts:
    """Journeys as far as they were read.

    Attributes
    ----------
    waiting : dict of str to ndarray of float, shape (field, event)
        The events of each request that is not whole yet, as Journeys has them, and their statuses.
    """

    waiting: dict[str, Numbers] = field(default_factory=dict)
    _statuses: dict[str, int] = field(default_factory=dict)
    _n_unnamed: int = 0

    def add(self, spans: Spans, cores: Sequence[int], path: Path) -> tuple[list[str], Journeys]:
        """Take up the events of some spans, and give the requests that are whole now.

        Parameters
        ----------
        spans : Spans
        cores : sequence of int
            The places of those that tell of journeys, ascending.
        path : Path
            What to call the file in messages.

        Returns
        -------
        names : list of str, shape (request,)
        journeys : Journeys

        Raises
        ------
        TraceError
            Times are no seconds.
        """
        span, cells = self._events(spans, path)
        names = spans.attributes.texts("gen_ai.request.id")
        begins, ends = (np.searchsorted(span, cores, side=side) for side in ("left", "right"))
        whole: list[tuple[str, Numbers]] = []
        for core, begin, end in zip(cores, begins.tolist(), ends.tolist(), strict=True):
            name, events = names[core], cells[:, begin:end]
            if name is None:
                self._n_unnamed += 1
                name = f"unnamed {self._n_unnamed}"
            if name in self.waiting:
                events = np.concatenate([self.waiting.pop(name), events], axis=1)
            if _NEEDED.issubset(events[0].tolist()):
                whole.append((name, events))
            else:
                self.waiting[name] = events.copy()
        request = np.repeat(np.arange(len(whole)), [events.shape[1] for _, events in whole])
        together = np.concatenate([cells[:, :0], *(events for _, events in whole)], axis=1)
        return [name for name, _ in whole], Journeys.sorted(request, together)

    def statuses(self, journeys: Journeys) -> list[str]:
        """Return why each request ended, shape (request,)."""
        known = list(self._statuses)
        return [known[code] for code in journeys.cells[-1, journeys.last].astype(int).tolist()]

    def _events(self, spans: Spans, path: Path) -> tuple[Places, Numbers]:
        """Return the events of journeys: the span of each, and its cells."""
        events = spans.events
        numbers, texts = events.attributes.numbers, events.attributes.texts
        kind = np.array([_kind(name) for name in events.name], dtype=np.float64)
        at_s, at_ns = numbers("ts.monotonic"), numbers("ts.monotonic_ns")
        used = np.isfinite(kind) & (np.abs(at_s) < _LONGEST_S)
        _check_seconds(at_s[used], at_ns[used], path)
        statuses = [
            self._statuses.setdefault(status or "", len(self._statuses))
            for status in texts("finish.status")
        ]
        cells = [
            kind,
            _counts(numbers("scheduler.step")),
            at_s,
            *(_counts(numbers(name)) for name in _PROGRESS),
            [float(schedule == "RESUME") for schedule in texts("schedule.kind")],
            statuses,
        ]
        return events.span[used], np.array(cells, dtype=np.float64)[:, used]


def _kind(name: str) -> float:
    """Return what an event of a journey is, by its place in EVENTS; NaN for other events."""
    if name in _KINDS:
        return _KINDS[name]
    return _KINDS["journey.OTHER"] if name.startswith("journey.") else math.nan


def _counts(values: Numbers) -> Numbers:
    """Return whole numbers, 0 where there are none."""
    return np.where(np.abs(values) < _WHOLE, np.trunc(values), 0.0)


def _check_seconds(at_s: Numbers, at_ns: Numbers, path: Path) -> None:
    """Refuse times that differ from those in ns beside them."""
    wrong = np.flatnonzero(np.abs(1e9 * at_s - at_ns) > 1e6)
    if len(wrong):
        raise refuse(
            path,
            f"its 'ts.monotonic' are no seconds: {at_s[wrong[0]]:g} stands beside "
            f"{at_ns[wrong[0]]:g} ns; name the file as the collector wrote it",
        )
