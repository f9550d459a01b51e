"""What is found of a group in one stage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from bayeslat.counted import counted
from bayeslat.evaluation.drift.window import WindowCounts
from bayeslat.model.groups import name_group

__all__ = ["CORRECTION", "ROWS", "TOGETHER", "FeatureChange", "Since", "StageDrift", "Verdict"]

type Verdict = Literal["stable", "drift", "not judged"]

TOGETHER = "all terms"
"""A change of all physics terms by the same factor, as by a lower clock."""
CORRECTION = "smooth correction"
"""A change that no physics term makes."""
ROWS = "rows"
"""The order of rows that do not all tell their time: as they stand."""


@dataclass(frozen=True)
class FeatureChange:
    """By how much a feature's coefficient changed, if it did.

    Attributes
    ----------
    feature : str
        A physics term, `all terms` or `smooth correction`.
    share : float
        Of the stage's time in the window, on average; NaN for the correction.
    p_moved, p_prior : float
        Probability that it moved, and the same before the rows were seen; NaN without drift.
    change, low, high : float
        Median, 5 % and 95 % quantile of the change of its coefficient if it moved: 0.05 is 5 %
        slower. Of the correction: of the root mean square of its change of latency.
    detectable : float
        Change that is found with 90 % probability, alone and over the whole window; NaN where the
        window says nothing of it, or next to nothing.
    confused_with : tuple of str
        Features that may have moved in its stead: the window does not tell which.
    """

    feature: str
    share: float
    p_moved: float
    p_prior: float
    change: float
    low: float
    high: float
    detectable: float
    confused_with: tuple[str, ...] = ()


@dataclass(frozen=True)
class Since:
    """Where the change began.

    Attributes
    ----------
    p_before : float
        Probability that it was there from the window's first row on.
    row, low, high : int
        Most likely first row after the change, and the 90 % interval: rows of the group in the
        trace, in order of time, from 1 on; 1 for a change before the window.
    time, time_low, time_high : str or None
        When these rows were collected; None without `collected_at`.
    """

    p_before: float
    row: int
    low: int
    high: int
    time: str | None = None
    time_low: str | None = None
    time_high: str | None = None


@dataclass(frozen=True, eq=False, repr=False)
class StageDrift:
    """Whether a stage drifted on a GPU with a stack.

    Attributes
    ----------
    gpu, stack, stage : str
    verdict : {"stable", "drift", "not judged"}
    reason : str
        Why it was not judged; else empty.
    counts : WindowCounts
    p_value : float
        Of a window without drift that is at least as improbable; NaN if not judged.
    p_adjusted : float
        The same, for all groups and stages of the call (Holm): at most the alarm rate is a drift.
    p_tests : mapping of test to float
        Of each of the tests that `p_value` stands on.
    changes : tuple of FeatureChange
        The most likely first. Without drift, what would have been found.
    since : Since or None
        None without drift, or where it is the noise that drifted and no coefficient.
    noise_ratio, noise_low, noise_high : float
        Noise of the window over that of the fit, with its 90 % interval.
    in_order_of : {"collected_at", "rows"}
        What the order of the group's rows is from.
    """

    gpu: str
    stack: str
    stage: str
    verdict: Verdict
    reason: str
    counts: WindowCounts
    p_value: float = float("nan")
    p_adjusted: float = float("nan")
    p_tests: Mapping[str, float] | None = None
    changes: tuple[FeatureChange, ...] = ()
    since: Since | None = None
    noise_ratio: float = float("nan")
    noise_low: float = float("nan")
    noise_high: float = float("nan")
    in_order_of: str = ROWS

    def __repr__(self) -> str:
        why = self.reason or f"p = {self.p_adjusted:.2g}, {counted(self.counts.judged, 'row')}"
        return f"<StageDrift of {self.stage} of {self.group}: {self.verdict}; {why}>"

    @property
    def group(self) -> str:
        """The GPU, and its stack."""
        return name_group(self.gpu, self.stack)

    def with_verdict(self, p_adjusted: float, alarm_rate: float) -> StageDrift:
        """Decide, given all p-values of the call."""
        verdict: Verdict = "drift" if p_adjusted <= alarm_rate else "stable"
        return replace(self, p_adjusted=p_adjusted, verdict=verdict)
