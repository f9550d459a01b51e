"""An engine that serves first come, first served, with prompts in chunks: the truth is known."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from bayeslat.traces.importers.batch_contexts import Finished, Steps


@dataclass
class Request:
    """One of the engine's requests; `aborted_after` outputs it goes away and is never told of."""

    prompt: int
    cached: int
    outputs: int
    arrives: int
    aborted_after: int | None = None
    computed: int = 0
    made: int = 0
    scheduled: int = -1
    finished: int = -1

    @property
    def is_over(self) -> bool:
        return self.made >= self.outputs or self.is_aborted

    @property
    def is_aborted(self) -> bool:
        return self.aborted_after is not None and self.made >= self.aborted_after


@dataclass
class Truth:
    """One row a step: what went in, what it attended to."""

    rows: list[dict[str, int]] = field(default_factory=list)

    def column(self, name: str) -> np.ndarray:
        return np.array([row[name] for row in self.rows], dtype=np.int64)


def run(requests: list[Request], budget: int, most: int) -> tuple[Truth, Steps, Finished]:
    """Serve the requests, at most `most` at once and `budget` tokens a step."""
    waiting = sorted(requests, key=lambda request: request.arrives)
    running: list[Request] = []
    truth = Truth()
    moment = 0
    while waiting or running:
        row = dict.fromkeys(
            ("prefill_requests", "prefill_tokens", "decode_requests", "past", "attended"), 0
        )
        row |= {"step": len(truth.rows), "decode_context": 0}
        left = budget
        for request in running:
            left -= _advance(request, left, row)
        while waiting and waiting[0].arrives <= moment and len(running) < most and left > 0:
            request = waiting.pop(0)
            request.computed = request.cached
            request.scheduled = row["step"]
            running.append(request)
            left -= _advance(request, left, row)
        moment += 1
        if row["prefill_tokens"] + row["decode_requests"]:
            truth.rows.append(row)
        for request in [each for each in running if each.is_over]:
            request.finished = row["step"]
            running.remove(request)
    return truth, _steps(truth, budget), finished_of(requests)


def _advance(request: Request, left: int, row: dict[str, int]) -> int:
    """Let a request take part in a step; returns the tokens that go in."""
    if request.made:
        if left < 1:
            return 0
        row["decode_requests"] += 1
        row["decode_context"] += request.prompt + request.made
        request.made += 1
        return 1
    chunk = min(left, request.prompt - request.computed)
    if chunk:
        row["prefill_requests"] += 1
        row["prefill_tokens"] += chunk
        row["past"] += request.computed
        row["attended"] += sum(request.computed + token + 1 for token in range(chunk))
        request.computed += chunk
        request.made += request.computed == request.prompt
    return chunk


def _steps(truth: Truth, budget: int) -> Steps:
    prefill_tokens, decode_requests = (
        truth.column(name) for name in ("prefill_tokens", "decode_requests")
    )
    return Steps(
        step_id=truth.column("step"),
        prefill_requests=truth.column("prefill_requests"),
        prefill_tokens=prefill_tokens,
        decode_requests=decode_requests,
        is_full=prefill_tokens + decode_requests >= budget,
    )


def finished_of(requests: list[Request]) -> Finished:
    """Return what the engine tells of the requests that it finished."""
    told = [request for request in requests if not request.is_aborted]

    def column(name: str) -> np.ndarray:
        return np.array([getattr(each, name) for each in told], dtype=np.int64)

    return Finished(
        step_id=column("finished"),
        prompt_tokens=column("prompt"),
        cached_tokens=column("cached"),
        output_tokens=column("outputs"),
        scheduled_s=column("scheduled").astype(np.float64),
    )


def draw(seed: int, count: int, *, aborted: float = 0.0) -> list[Request]:
    """Draw requests: short and long prompts, some of them cached, bursts and pauses."""
    rng = np.random.default_rng(seed)
    requests = []
    arrives = 0
    for _ in range(count):
        arrives += int(rng.choice([0, 0, 1, 5, 40]))
        prompt, outputs = int(np.exp(rng.uniform(0, 6))) + 1, int(rng.integers(1, 30))
        cached = int(rng.choice([0, 0, prompt // 2]))
        gone = int(rng.integers(1, outputs + 1)) if rng.random() < aborted else None
        requests.append(Request(prompt, cached, outputs, arrives, gone))
    return requests
