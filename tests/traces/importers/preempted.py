"""A request of BLIS that was preempted once: event, step, s, tokens prefilled and decoded."""

from __future__ import annotations

__all__ = ["PREEMPTED_EVENTS", "PREEMPTED_PROMPT"]

PREEMPTED_PROMPT = 100
PREEMPTED_EVENTS = [
    ("QUEUED", 0, 1000.0, 0, 0),
    ("SCHEDULED", 10, 1001.0, 0, 0),
    ("FIRST_TOKEN", 10, 1001.1, 100, 1),
    ("PREEMPTED", 60, 1006.0, 100, 50),
    ("SCHEDULED", 100, 1010.0, 100, 50),
    ("FINISHED", 249, 1025.0, 100, 200),
]
