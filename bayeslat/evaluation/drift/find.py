"""Drift of every group and stage of a trace, with one false-alarm rate."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import pandas as pd

from bayeslat.arguments import refuse
from bayeslat.counted import counted, listed
from bayeslat.errors import InputError
from bayeslat.evaluation.drift.drift_frame import drift_frame
from bayeslat.evaluation.drift.group_rows import GroupRows, group_rows
from bayeslat.evaluation.drift.judge import Judged, compare_stage, explain_stage
from bayeslat.evaluation.drift.limits import limit_problems
from bayeslat.evaluation.drift.mixed_stacks import tell_mixtures
from bayeslat.evaluation.drift.stage_drift import ROWS, StageDrift
from bayeslat.evaluation.holm import adjust_holm
from bayeslat.features.admit import admit
from bayeslat.features.gpu import Gpu
from bayeslat.features.gpu_rows import gpu_rows
from bayeslat.features.hardware import HardwareTable, load_hardware
from bayeslat.inference.posteriors.posterior import PosteriorData
from bayeslat.model.groups import name_group
from bayeslat.traces.names import COLLECTED_AT

__all__ = ["ALLOWANCE", "Drift", "find_drift"]

ALLOWANCE = 0.1
"""Of the noise. With it, p-values of held-out configurations of measured traces are about uniform
(benchmarks/bench_drift)."""

type OnProgress = Callable[[int, int], None]


@dataclass(frozen=True, eq=False, repr=False)
class Drift:
    """What drifted since the fit.

    Attributes
    ----------
    stages : tuple of StageDrift
        One for each GPU, stack and stage.
    alarm_rate : float
        Probability of any false alarm among them.
    allowance : float
        How far the fit may be off in each direction, as a part of the noise.
    passed_over : tuple of str
        Groups of the trace that the posterior does not hold: nothing to compare them with.
    notes : tuple of str
        What to know of the rows: times that cannot be read, or have no offset; several stacks.
    """

    stages: tuple[StageDrift, ...]
    alarm_rate: float
    allowance: float
    passed_over: tuple[str, ...]
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"<Drift: {self}>"

    def __str__(self) -> str:
        """Say the verdict in a sentence."""
        found = listed((f"{each.stage} of {each.group}" for each in self.drifted), most=3)
        told = f"drift in {found}" if found else "no drift"
        left_out = len(self.stages) - len(self.judged)
        more = f", {left_out:,} not" if left_out else ""
        return f"{told} ({counted(len(self.judged), 'stage')} judged{more})"

    @property
    def drifted(self) -> tuple[StageDrift, ...]:
        """Those that did."""
        return tuple(each for each in self.stages if each.verdict == "drift")

    @property
    def judged(self) -> tuple[StageDrift, ...]:
        """Those that had enough rows."""
        return tuple(each for each in self.stages if each.verdict != "not judged")

    @property
    def in_order_of(self) -> str:
        """What the order of all rows is from: `collected_at`; or `rows`, of any group."""
        orders = {each.in_order_of for each in self.stages}
        return COLLECTED_AT if orders == {COLLECTED_AT} else ROWS

    @property
    def frame(self) -> pd.DataFrame:
        """One row a GPU, stack and stage, with the feature that most likely moved."""
        return drift_frame(self.stages)


def find_drift(
    data: PosteriorData,
    traces: pd.DataFrame,
    *,
    gpu: Gpu | None = None,
    stack: str | None = None,
    alarm_rate: float = 0.01,
    allowance: float = ALLOWANCE,
    hardware: HardwareTable | None = None,
    seed: int = 0,
    on_progress: OnProgress | None = None,
) -> Drift:
    """Test whether new rows follow the relation that was fitted.

    Each GPU, stack and stage is compared with windows that its posterior simulates at the same
    configurations: other configurations, a changed batch mix, are no drift by themselves. Rows
    whose configuration leaves the training range are counted and not judged.

    Parameters
    ----------
    data : PosteriorData
    traces : DataFrame, one row a measurement
        Measured after those of the fit. Those of a group are in order of `collected_at`, or as they
        stand, where one of them does not tell its time in ISO 8601.
    gpu : Gpu, optional
        Judge this one alone; by default every one that the posterior holds.
    stack : str, optional
        Compare all rows with this stack of the posterior, whatever they name: has an update of the
        software changed anything?
    alarm_rate : float
        Probability that anything is called a drift while nothing has changed (Holm); 0.0001 or
        more.
    allowance : float
        How far the fit may be off while nothing has changed, in each direction of the features, as
        a part of the noise: what physics and correction miss is smooth, and new configurations meet
        other parts of it. 0 takes the posterior at its word.
    hardware : HardwareTable, optional
    seed : int
    on_progress : callable (done, total), optional

    Returns
    -------
    Drift

    Raises
    ------
    TraceError
        With every row that breaks a rule.
    InputError
        If the alarm rate is impossible, or the posterior holds no group of the rows.
    """
    refuse(limit_problems(alarm_rate, allowance))
    table = (hardware or load_hardware()).extended(data.hardware)
    rows = traces if gpu is None else gpu_rows(traces, [gpu.key], table)
    admitted = admit(rows, data.spec, table)
    mixtures = [] if stack is None else tell_mixtures(data, admitted, stack)
    known, unknown = group_rows(data, rows, admitted, stack)
    if not known:
        raise InputError(_nothing_known(data, unknown))
    tasks = [(group, stage) for group in known for stage in data.stages]
    judged: list[Judged] = []
    for number, (group, stage) in enumerate(tasks):
        judged.append(
            compare_stage(
                data,
                stage,
                group.frame,
                data.hardware[group.gpu],
                group.stack,
                times=group.times,
                level=alarm_rate / len(tasks),
                allowance=allowance,
                seed=[seed, number],
            )
        )
        if on_progress is not None:
            on_progress(number + 1, len(tasks))
    return Drift(
        stages=_decide(judged, alarm_rate, seed),
        alarm_rate=alarm_rate,
        allowance=allowance,
        passed_over=unknown,
        notes=(*_doubts(known), *mixtures),
    )


def _decide(judged: Sequence[Judged], alarm_rate: float, seed: int) -> tuple[StageDrift, ...]:
    """Adjust the p-values for their number, and explain each verdict."""
    tested = [number for number, each in enumerate(judged) if each.scores is not None]
    adjusted = adjust_holm([judged[number].found.p_value for number in tested])
    found = [each.found for each in judged]
    for number, p_value in zip(tested, adjusted, strict=True):
        told = found[number].with_verdict(float(p_value), alarm_rate)
        found[number] = explain_stage(replace(judged[number], found=told), [seed, number])
    return tuple(found)


def _doubts(groups: Sequence[GroupRows]) -> Iterator[str]:
    """Say what is wrong with times, and of which group, if there are several."""
    for group in groups:
        if group.doubt:
            whose = f"{name_group(group.gpu, group.stack)}: " if len(groups) > 1 else ""
            yield whose + group.doubt


def _nothing_known(data: PosteriorData, unknown: Sequence[str]) -> str:
    """Say that there is nothing to compare with."""
    groups = dict.fromkeys([*data.groups, *data.targets])
    measured = (group for group in groups if data.is_measured(*group))
    held = ", ".join(name_group(*group) for group in measured)
    return (
        f"the posterior does not hold {', '.join(unknown)}; it holds {held}. Compare the rows with "
        "one of its stacks by naming it, calibrate the GPU first, or choose another trace"
    )
