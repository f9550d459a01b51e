"""The batches of the steps, by hand and against a scheduler that made the journeys."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bayeslat.traces.importers.journey import Journey, JourneyEvent
from bayeslat.traces.importers.reconstruct import Batches, reconstruct_steps
from tests.traces.importers.preempted import PREEMPTED_EVENTS, PREEMPTED_PROMPT


def journey(name: str, prompt: int, *events: tuple[str, int, float, int, int]) -> Journey:
    """Return a journey of (event, step, at_s, prefill done, decode done)."""
    seen: set[str] = set()
    made = []
    for event, step, at_s, prefilled, decoded in events:
        resumes = event == "SCHEDULED" and event in seen
        seen.add(event)
        made.append(JourneyEvent(event, step, at_s, prefilled, prompt, decoded, resumes))
    return Journey(name, made)


def at(batches: Batches, step: int) -> tuple[int, int, int, int]:
    """Return prefill requests and tokens, decode requests and their context, of a step."""
    (place,) = np.flatnonzero(batches.step == step)
    return (
        int(batches.prefill_requests[place]),
        int(batches.prefill_tokens[place]),
        int(batches.decode_requests[place]),
        int(batches.context_tokens[place]),
    )


def attended(batches: Batches, step: int) -> int:
    """Return what the prompt tokens of a step attend to."""
    (place,) = np.flatnonzero(batches.step == step)
    return int(batches.attended_tokens[place])


def simple(name: str, prompt: int, first: int, output: int, last_prefill: int = -1) -> Journey:
    """Return a journey without preemption: scheduled at `first`, one token a step afterwards."""
    token = max(first, last_prefill)
    return journey(
        name,
        prompt,
        ("QUEUED", first - 1, first - 1.0, 0, 0),
        ("SCHEDULED", first, first + 0.0, 0, 0),
        ("FIRST_TOKEN", token, token + 0.5, prompt, 1),
        ("FINISHED", token + output - 1, token + output - 0.5, prompt, output),
    )


PREEMPTED = journey("p", PREEMPTED_PROMPT, *PREEMPTED_EVENTS)


def test_one_request() -> None:
    batches = reconstruct_steps([simple("a", 512, 1, 100)], 2048)
    assert batches.step.tolist() == list(range(1, 101))
    assert at(batches, 1) == (1, 512, 0, 0)
    assert at(batches, 2) == (0, 0, 1, 513)
    assert at(batches, 100) == (0, 0, 1, 611)


def test_one_output_token_is_prefill_only() -> None:
    batches = reconstruct_steps([simple("a", 256, 5, 1)], 2048)
    assert batches.step.tolist() == [5]
    assert at(batches, 5) == (1, 256, 0, 0)


def test_a_preempted_request_is_out_of_the_batch_and_its_context_waits() -> None:
    batches = reconstruct_steps([PREEMPTED], 2048)
    assert not np.isin(np.arange(60, 100), batches.step).any()
    assert at(batches, 59) == (0, 0, 1, 149)
    assert at(batches, 100) == (0, 0, 1, 150)


def test_times_leave_preemptions_out() -> None:
    times = PREEMPTED.times()
    assert times.queueing_s == pytest.approx(1.0)
    assert times.prefill_s == pytest.approx(0.1)
    assert times.decode_s == pytest.approx(1025.0 - 1001.1 - 4.0)
    assert times.first_token_s == pytest.approx(1.1)
    assert times.end_to_end_s == pytest.approx(25.0)
    assert times.preemptions == 1


def test_a_prompt_preempted_half_way() -> None:
    made = journey(
        "a",
        1000,
        ("QUEUED", 0, 1000.0, 0, 0),
        ("SCHEDULED", 10, 1001.0, 0, 0),
        ("PREEMPTED", 11, 1001.5, 600, 0),
        ("SCHEDULED", 20, 1002.0, 600, 0),
        ("FIRST_TOKEN", 20, 1002.3, 1000, 1),
        ("FINISHED", 69, 1005.0, 1000, 50),
    )
    batches = reconstruct_steps([made], 2048)
    assert at(batches, 10) == (1, 600, 0, 0)
    assert at(batches, 20) == (1, 400, 0, 0)
    assert at(batches, 21) == (0, 0, 1, 1001)
    assert made.times().prefill_s == pytest.approx(1.3 - 0.5)
    assert attended(batches, 10) == 600 * 601 // 2
    assert attended(batches, 20) == 400 * 600 + 400 * 401 // 2
    assert attended(batches, 21) == 0


def test_events_in_any_order() -> None:
    mixed = Journey(PREEMPTED.request_id, PREEMPTED.events[::-1])
    for name in ("step", "prefill_tokens", "decode_requests", "context_tokens"):
        one, other = (getattr(reconstruct_steps([each], 64), name) for each in (PREEMPTED, mixed))
        assert one.tolist() == other.tolist()
    assert mixed.times() == PREEMPTED.times()


def test_long_prompts_share_what_the_budget_leaves_the_first_scheduled_first() -> None:
    decoding = [simple(f"d{number}", 100, 1, 500) for number in range(20)]
    first, second = simple("a", 3000, 50, 5, 52), simple("b", 1000, 51, 5, 52)
    batches = reconstruct_steps([*decoding, second, first], 2048)
    assert at(batches, 50)[:3] == (1, 2028, 20)
    assert at(batches, 51)[:3] == (2, 972 + 1000, 20)
    assert at(batches, 52)[:3] == (0, 0, 20)
    assert attended(batches, 50) == 2028 * 2029 // 2
    assert attended(batches, 51) == 972 * 2028 + 972 * 973 // 2 + 1000 * 1001 // 2
    # An exact prompt counts whatever the budget, and takes from what others get.
    exact = simple("e", 1500, 50, 5)
    batches = reconstruct_steps([*decoding, exact, first], 2048)
    assert at(batches, 50)[:2] == (2, 2028)


def test_requests_without_an_end_are_passed_over() -> None:
    part = Journey("x", PREEMPTED.events[:3])
    assert not part.is_whole
    assert len(reconstruct_steps([part], 64).step) == 0


@dataclass
class _Running:
    name: str
    prompt: int
    output: int
    computed: int = 0
    generated: int = 0
    events: list[tuple[str, int, float, int, int]] = field(default_factory=list)


@given(
    requests=st.lists(
        st.tuples(st.integers(0, 12), st.integers(1, 90), st.integers(1, 9)), min_size=1, max_size=6
    ),
    budget=st.integers(16, 64),
)
def test_batches_are_those_of_the_scheduler(
    requests: list[tuple[int, int, int]], budget: int
) -> None:
    """A scheduler with chunked prefill, decodes first, makes the journeys and keeps its batches."""
    waiting = [
        _Running(str(number), prompt, output, events=[("QUEUED", arrival, arrival - 0.5, 0, 0)])
        for number, (arrival, prompt, output) in enumerate(sorted(requests))
    ]
    arrivals = {str(number): each[0] for number, each in enumerate(sorted(requests))}
    running: list[_Running] = []
    kept: dict[int, tuple[int, int, int, int]] = {}
    done: list[_Running] = []
    for step in range(400):
        running += [each for each in waiting if arrivals[each.name] <= step]
        waiting = [each for each in waiting if arrivals[each.name] > step]
        decoding = [each for each in running if each.computed == each.prompt]
        context = sum(each.prompt + each.generated for each in decoding)
        room, chunks = budget - len(decoding), 0
        tokens = 0
        for each in [each for each in running if each.computed < each.prompt]:
            chunk = min(each.prompt - each.computed, room)
            if chunk <= 0:
                break
            if each.computed == 0:
                each.events.append(("SCHEDULED", step, step + 0.1 + 0.01 * chunks, 0, 0))
            room, tokens, chunks = room - chunk, tokens + chunk, chunks + 1
            each.computed += chunk
            if each.computed == each.prompt:
                each.generated = 1
                each.events.append(("FIRST_TOKEN", step, step + 0.5, each.prompt, 1))
        for each in decoding:
            each.generated += 1
        for each in [each for each in running if each.generated >= each.output]:
            each.events.append(("FINISHED", step, step + 0.6, each.prompt, each.generated))
            running.remove(each)
            done.append(each)
        if decoding or chunks:
            kept[step] = (chunks, tokens, len(decoding), context)
    batches = reconstruct_steps(
        [journey(each.name, each.prompt, *each.events) for each in done], budget
    )
    assert {int(step): at(batches, int(step)) for step in batches.step} == kept
