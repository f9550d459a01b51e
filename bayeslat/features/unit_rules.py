"""The rule that latencies are in milliseconds, as far as data sheets can tell."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayeslat.features.hardware import Gpu
from bayeslat.features.knob_values import KnobValues, RowValues
from bayeslat.features.stage import Stage
from bayeslat.features.terms import TermKind
from bayeslat.traces import Violation, violations_at
from bayeslat.traces.cells import to_numbers

__all__ = ["unit_violations"]

_FASTEST, _SLOWEST = 0.2, 500.0  # latency over the physics at data-sheet peaks
# A wait is as long as what is left of others' work: its physics is a guess, not a bound.
_FASTEST_WAIT = 0.005
_BOUNDS = (TermKind.flops, TermKind.bytes)  # by the peaks of a data sheet
_SHORTEST_GUESS = 0.1  # of a launch, whose length a spec guesses
_ALL_OFF = 0.5  # a unit is wrong when more than this part of a GPU's rows is outside


def unit_violations(
    frame: pd.DataFrame, knobs: KnobValues, gpu: Gpu, rows: NDArray[np.bool_]
) -> Iterator[Violation]:
    """Find stages that most rows of a GPU have far faster or slower than its data sheet allows.

    Parameters
    ----------
    frame : DataFrame, one row a measurement
        With unique column names. Rows that break another rule do not count.
    knobs : KnobValues
        Of the same rows.
    gpu : Gpu
    rows : ndarray of bool, shape (row,)
        Those of the GPU, under any of its names.

    Yields
    ------
    Violation
    """
    values = knobs.at(rows, gpu.fields())
    for stage in knobs.spec.stages.values():
        if stage.column in frame:
            yield from _odd_stage(frame, stage, gpu, rows, values)


def _odd_stage(
    frame: pd.DataFrame, stage: Stage, gpu: Gpu, rows: NDArray[np.bool_], values: RowValues
) -> Iterator[Violation]:
    terms = stage.physics.values()
    peak_ms, known = values.total(term.expression for term in terms)
    fastest, bound_ms = _FASTEST_WAIT, peak_ms
    if stage.hurdle is None:
        guessed_ms, _ = values.total(each.expression for each in terms if each.kind not in _BOUNDS)
        fastest, bound_ms = _FASTEST, peak_ms - (1.0 - _SHORTEST_GUESS) * guessed_ms
    latency = to_numbers(frame[stage.column])[0][rows]
    with np.errstate(all="ignore"):  # what is not finite and above 0 is told by other rules
        ratio, over_bound = latency / peak_ms, latency / bound_ms
    least = stage.hurdle.above_ms if stage.hurdle else 0.0  # below it, nothing is computed
    held = known & np.isfinite(ratio) & (ratio > 0) & (latency > least)
    if not held.any():
        return
    for times, off, what, cure in (
        (over_bound, over_bound < fastest, "faster than its data sheet allows", "seconds, not ms"),
        (ratio, ratio > _SLOWEST, "hundreds of times slower than its data sheet", "microseconds"),
    ):
        part = (off & held).sum() / held.sum()
        if part > _ALL_OFF:
            where = np.zeros(len(frame), dtype=bool)
            where[np.flatnonzero(rows)[off & held]] = True
            yield from violations_at(
                frame,
                where,
                stage.column,
                f"{gpu.key} is {what} in {part:.0%} of its rows (median "
                f"{np.median(times[held]):.2g} times the physics of stage {stage.name!r}); is the "
                f"column in {cure}? Give milliseconds, and check the GPU's name",
            )
