"""Batches are put together again exactly, and where they cannot be, that is told."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest

from bayeslat.traces.importers.batch_contexts import Contexts, Finished, Steps, find_contexts
from tests.traces.importers.engine import Request, Truth, draw, run


def _agrees(found: Contexts, truth: Truth) -> np.ndarray:
    """Return where what was found is the truth, shape (step,)."""
    return (
        (found.decode_context_tokens == truth.column("decode_context"))
        & (found.prefill_past_tokens == truth.column("past"))
        & (found.prefill_attended_tokens == truth.column("attended"))
    )


def test_one_request_by_hand() -> None:
    # A prompt of 7 tokens in steps of 4, then two more outputs.
    truth, steps, finished = run([Request(7, 0, 3, 0)], budget=4, most=1)
    found = find_contexts(steps, finished)
    assert found.prefill_past_tokens.tolist() == [0, 4, 0, 0]
    assert found.prefill_attended_tokens.tolist() == [1 + 2 + 3 + 4, 5 + 6 + 7, 0, 0]
    assert found.decode_context_tokens.tolist() == [0, 0, 8, 9]
    assert found.is_exact.all()
    assert _agrees(found, truth).all()


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("budget", "most"), [(64, 8), (512, 4), (16, 16)])
def test_every_batch_of_undisturbed_requests_is_found(seed: int, budget: int, most: int) -> None:
    truth, steps, finished = run(draw(seed, 150), budget, most)
    found = find_contexts(steps, finished)
    assert found.is_exact.all()
    assert _agrees(found, truth).all()


@pytest.mark.parametrize("seed", range(5))
def test_batches_with_requests_that_went_away_are_not_told_wrong(seed: int) -> None:
    # Tokens of a request that nobody tells of can look like a part of the next one's prompt.
    truth, steps, finished = run(draw(seed, 300, aborted=0.05), budget=64, most=8)
    found = find_contexts(steps, finished)
    assert 0.5 < found.is_exact.mean() < 1.0
    assert _agrees(found, truth)[found.is_exact].mean() > 0.99
    assert (found.decode_context_tokens[~found.is_exact] == 0).all()


def test_a_log_that_begins_in_the_middle_is_exact_from_then_on() -> None:
    truth, steps, finished = run(draw(1, 200), budget=64, most=8)
    cut = len(truth.rows) // 2
    found = find_contexts(_rows(steps, np.arange(len(truth.rows)) >= cut), finished)
    agrees = _agrees(found, Truth(truth.rows[cut:]))
    assert agrees[found.is_exact].all()
    assert found.is_exact[100:].all()


def test_steps_that_are_missing_do_not_shift_the_others() -> None:
    truth, steps, finished = run(draw(2, 200), budget=64, most=8)
    kept = np.random.default_rng(0).random(len(truth.rows)) < 0.98
    found = find_contexts(_rows(steps, kept), finished)
    rows = Truth([row for row, keep in zip(truth.rows, kept, strict=True) if keep])
    assert found.is_exact.mean() > 0.6
    assert _agrees(found, rows)[found.is_exact].mean() > 0.98


def test_a_wrong_length_is_noticed() -> None:
    _, steps, finished = run(draw(3, 100), budget=64, most=8)
    one_too_many = (np.arange(100) == 40).astype(np.int64)
    broken = replace(finished, output_tokens=finished.output_tokens + one_too_many)
    odd = replace(finished, step_id=finished.step_id + 1)
    assert find_contexts(steps, finished).is_exact.all()
    for wrong in (broken, odd):
        assert not find_contexts(steps, wrong).is_exact.all()


def test_a_log_without_requests_or_steps_has_no_contexts() -> None:
    truth, steps, finished = run(draw(4, 20), budget=64, most=8)
    nobody = Finished(*(getattr(finished, field.name)[:0] for field in fields(Finished)))
    assert not find_contexts(steps, nobody).is_exact.any()
    empty = find_contexts(_rows(steps, np.zeros(len(truth.rows), dtype=bool)), finished)
    assert empty.is_exact.size == 0


def _rows(steps: Steps, kept: np.ndarray) -> Steps:
    return Steps(*(getattr(steps, field.name)[kept] for field in fields(Steps)))
