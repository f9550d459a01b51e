"""Tasks: what is asked about an image sets the lengths of prompt and answer."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["TASKS", "TaskLengths"]


@dataclass(frozen=True)
class TaskLengths:
    """Lengths of a task's requests.

    Attributes
    ----------
    prompt_tokens, output_tokens : int
    """

    prompt_tokens: int
    output_tokens: int


TASKS = {
    # A question with its instruction, and a phrase for an answer.
    "qa": TaskLengths(prompt_tokens=64, output_tokens=16),
    # A fixed instruction, and a paragraph.
    "captioning": TaskLengths(prompt_tokens=32, output_tokens=96),
}
"""Lengths of each task, unless a configuration gives its own."""
