"""Judging one stage of a group."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from bayeslat.counted import counted
from bayeslat.evaluation.drift.calmed import calm_window, find_start
from bayeslat.evaluation.drift.changes import draw_changes
from bayeslat.evaluation.drift.course import Course
from bayeslat.evaluation.drift.explain import detectable_changes, feature_changes, tell_start
from bayeslat.evaluation.drift.p_values import DriftTest, compare_window
from bayeslat.evaluation.drift.row_errors import row_errors
from bayeslat.evaluation.drift.scores import Scores
from bayeslat.evaluation.drift.stage_drift import ROWS, StageDrift
from bayeslat.evaluation.drift.window import Window, take_window
from bayeslat.features.gpu import Gpu
from bayeslat.inference.posteriors.posterior import PosteriorData
from bayeslat.traces.names import COLLECTED_AT

__all__ = ["LEAST_ROWS", "Judged", "compare_stage", "explain_stage"]

LEAST_ROWS = 5
"""That a stage needs to be judged."""
_MOST_TOGETHER = 1000  # rows that are judged where neighbours share: time goes with the square
_STARTS = 200  # at which a change may have begun, where one is explained


@dataclass(frozen=True)
class Judged:
    """A stage with its p-value, and what explaining a drift takes.

    Attributes
    ----------
    found : StageDrift
    scores : Scores or None
        None where it was not judged.
    test : DriftTest or None
    times : sequence of str or None
        When each row of the group was collected.
    """

    found: StageDrift
    scores: Scores | None
    test: DriftTest | None
    times: Sequence[str] | None


def compare_stage(
    data: PosteriorData,
    stage: str,
    frame: pd.DataFrame,
    gpu: Gpu,
    stack: str,
    *,
    times: Sequence[str] | None,
    level: float,
    allowance: float,
    seed: Sequence[int],
) -> Judged:
    """Test one stage of a group.

    Parameters
    ----------
    data : PosteriorData
    stage : str
    frame : DataFrame, one row a measurement
        Of the group, in order of time.
    gpu : Gpu
    stack : str
    times : sequence of str, shape (row,), or None
    level : float
        The smallest at which the test has to be able to reject.
    allowance : float
        How far the fit may be off, over the noise.
    seed : sequence of int

    Returns
    -------
    Judged
    """
    window = take_window(data, stage, frame, gpu, stack, allowance)
    found = StageDrift(
        gpu.key,
        stack,
        stage,
        "not judged",
        _too_few(window),
        window.counts,
        in_order_of=ROWS if times is None else COLLECTED_AT,
    )
    if found.reason:
        return Judged(found, None, None, times)
    with threadpool_limits(1):  # the matrices are too small for threads inside a product
        errors = row_errors(window)
        if errors.misfit is not None and len(window) > _MOST_TOGETHER:
            window = take_window(data, stage, frame, gpu, stack, allowance, _MOST_TOGETHER)
            found, errors = replace(found, counts=window.counts), row_errors(window)
        scores = Scores(window, errors, Course.blocks(len(window)))
        test = compare_window(scores, level, np.random.default_rng([*seed, 0]))
    found = replace(found, p_value=test.p_value, p_tests=test.p_tests)
    return Judged(found, scores, test, times)


def explain_stage(judged: Judged, seed: Sequence[int]) -> StageDrift:
    """Say what moved, by how much and since when; of a stable stage, what would have been found.

    Parameters
    ----------
    judged : Judged
        With its verdict.
    seed : sequence of int

    Returns
    -------
    StageDrift
    """
    found, scores, test = judged.found, judged.scores, judged.test
    if scores is None or test is None:
        return found
    detectable = detectable_changes(scores, test)
    drifted = found.verdict == "drift"
    calmed = calm_window(scores, find_start(scores) if drifted else 0)
    found = replace(
        found,
        noise_ratio=calmed.noise_ratio,
        noise_low=calmed.noise_low,
        noise_high=calmed.noise_high,
    )
    if not drifted:
        return replace(found, changes=feature_changes(scores, detectable, None))
    window = scores.window
    with threadpool_limits(1):
        fine = replace(scores, course=Course.even(len(window), _STARTS))
        rng = np.random.default_rng([*seed, 1])
        draws = draw_changes(fine, calmed.error, calmed.noise_ratio, rng)
    return replace(
        found,
        changes=feature_changes(scores, detectable, draws),
        since=tell_start(draws, window, judged.times),
    )


def _too_few(window: Window) -> str:
    """Say why a window cannot be judged; nothing if it can."""
    counts = window.counts
    if counts.judged >= LEAST_ROWS:
        return ""
    if not counts.rows:
        return "no row holds it"
    parts = []
    if counts.below_hurdle:
        parts.append(f"{counts.below_hurdle} took no time")
    if counts.beyond:
        named = ", ".join(counts.beyond_in)
        parts.append(f"{counts.beyond} leave the training range in {named}")
    why = f" ({'; '.join(parts)})" if parts else ""
    rows = counted(counts.rows, "row")
    return f"{counts.judged} of {rows} can be judged{why}; it takes {LEAST_ROWS}"
