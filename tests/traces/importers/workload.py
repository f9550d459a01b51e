"""A made-up workload, which every tool could have measured."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

__all__ = ["MODEL", "OTHER_MODEL", "Request", "make_requests"]

MODEL = "Qwen/Qwen3-8B"
OTHER_MODEL = "meta-llama/Llama-3.1-8B"


@dataclass(frozen=True)
class Request:
    """A request as a client, or the engine, saw it; times in s."""

    number: int
    sent_s: float
    queueing_s: float
    prefill_s: float
    decode_s: float
    prompt_tokens: int
    output_tokens: int
    model: str = MODEL
    failed: bool = False

    @property
    def ttft_s(self) -> float:
        return self.queueing_s + self.prefill_s

    @property
    def e2e_s(self) -> float:
        return self.ttft_s + self.decode_s

    @property
    def tpot_s(self) -> float:
        return self.decode_s / (self.output_tokens - 1) if self.output_tokens > 1 else np.nan

    @property
    def gaps_s(self) -> list[float]:
        return [self.tpot_s] * (self.output_tokens - 1)


def make_requests(count: int, *, rate_per_s: float = 8.0, seed: int = 5) -> list[Request]:
    """Draw requests that overlap; the second to last has one output token."""
    rng = np.random.default_rng(seed)
    sent = 1000.0 + np.cumsum(rng.exponential(1 / rate_per_s, count))
    made = [
        Request(
            number=number,
            sent_s=round(float(sent[number]), 6),
            queueing_s=round(float(rng.lognormal(-6, 1)), 6),
            prefill_s=round(float(rng.lognormal(-3, 0.3)), 6),
            decode_s=round(float(rng.lognormal(-0.5, 0.5)), 6),
            prompt_tokens=int(rng.integers(16, 2048)),
            output_tokens=int(rng.integers(2, 200)),
        )
        for number in range(count)
    ]
    if count > 1:
        made[-2] = replace(made[-2], output_tokens=1, decode_s=0.0)
    return made
