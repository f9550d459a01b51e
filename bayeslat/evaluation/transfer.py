"""The verdict on a calibrated GPU: trust its predictions, measure more, or fit it as a donor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from bayeslat.counted import counted
from bayeslat.errors import InputError
from bayeslat.evaluation.drift import StageDrift, find_drift
from bayeslat.evaluation.drift.stage_drift import CORRECTION, TOGETHER
from bayeslat.evaluation.expected_error import ErrorOutlook, ExpectedError
from bayeslat.evaluation.membership import Membership, check_membership
from bayeslat.evaluation.pass_offset import pass_offset
from bayeslat.evaluation.passes import PassDifferences
from bayeslat.features.gpu import Gpu
from bayeslat.finite import is_between, tell
from bayeslat.inference.posteriors.gross_errors import GrossError, find_gross_errors, sound_rows_of
from bayeslat.inference.posteriors.posterior import PosteriorData
from bayeslat.model.groups import name_group

__all__ = [
    "FALSE_ALARMS",
    "ExpectedError",
    "Transfer",
    "Verdict",
    "choose_target",
    "judge_transfer",
]

type Verdict = Literal["trust", "more data", "refit as donor"]

FALSE_ALARMS = 0.01
"""Of GPUs of the donors' family, the part that is told apart from them."""
_TOLD_SD = 0.01  # of passes; below, it is not told


@dataclass(frozen=True, repr=False)
class Transfer:
    """Whether a calibrated GPU's predictions can be trusted, and why.

    Attributes
    ----------
    gpu, stack : str
    rows : mapping of stage to int
        Measurements, fitted ones among them.
    stages : mapping of stage to Membership
        Of the measured stages.
    alarms : tuple of str
        What is unlike the donors, a sentence each; of a GPU that was fitted, what has changed since
        comes first.
    changed : tuple of str
        Those of a GPU that was fitted, and whose rows do not follow what was.
    error : ExpectedError
    threshold : float
        Of the MAPE.
    more_rows : int or None
        Further measurements that should bring the error within the threshold; 0 if it is, None if
        200 would not do. Those of `gross` are not counted.
    more_passes : bool
        Whether 200 do not for the differences between passes: `more_rows` would do without them.
    more_repeats : bool
        Whether 200 do not since too few repeats of the donors tell which part of the noise is a
        configuration's own: `more_rows` would do if the estimate of that part were sure.
    gross : tuple of GrossError
        Rows that were set aside, since the others make them impossible.
    passes : PassDifferences or None
        Those that the rows were measured in; None where they were not given, or nothing tells.
    pass_sd : float
        Of passes over the configurations, in log total, by its own and the donors': the mean of
        what is known of it.
    verdict : {"trust", "more data", "refit as donor"}
    """

    gpu: str
    stack: str
    rows: Mapping[str, int]
    stages: Mapping[str, Membership]
    alarms: tuple[str, ...]
    changed: tuple[str, ...]
    error: ExpectedError
    threshold: float
    more_rows: int | None
    more_passes: bool
    more_repeats: bool
    gross: tuple[GrossError, ...]
    passes: PassDifferences | None = field(compare=False)  # holds arrays
    pass_sd: float
    verdict: Verdict

    def __repr__(self) -> str:
        alarms = f"; {counted(len(self.alarms), 'alarm')}" if self.alarms else ""
        return (
            f"<Transfer to {name_group(self.gpu, self.stack)}: {self.verdict}; "
            f"expected MAPE {self.error.mean:.1%} ({self.error.low:.1%} to {self.error.high:.1%}), "
            f"threshold {100 * self.threshold:g}%{alarms}>"
        )

    @property
    def unmeasured(self) -> tuple[str, ...]:
        """The stages without a row, of which the guardrail accepts nothing."""
        return tuple(stage for stage, rows in self.rows.items() if not rows)

    @property
    def _passes_told(self) -> str:
        """Say whether the expected error knows of passes that differ."""
        if self.more_passes:
            return ""
        if self.pass_sd >= _TOLD_SD:
            return f"; passes differ by {np.expm1(self.pass_sd):.1%} (sd)"
        if self.passes is not None and self.passes.differing and self.passes.total is None:
            return f"; {self.passes.plural} differ, which is not in the error"
        return ""

    def __str__(self) -> str:
        """Say the verdict in a sentence."""
        error = (
            f"expected MAPE {self.error.mean:.1%} ({self.error.low:.1%} to {self.error.high:.1%})"
        )
        unmeasured = f"nothing was measured of {', '.join(self.unmeasured)}" * bool(self.unmeasured)
        lacks = self._passes_told
        if again := sum(each.unsettled for each in self.gross):
            lacks += f"; {counted(again, 'gross error')} set aside, to be measured again"
        if self.changed:
            return (
                f"refit as donor: {self.gpu} has changed since it was fitted "
                f"({'; '.join(self.changed)}). Fit it anew, without its rows of before"
            )
        if self.verdict == "refit as donor":
            return (
                f"refit as donor: {self.gpu} is unlike the donors ({'; '.join(self.alarms)}). "
                "Measure it as thoroughly as a donor and fit it with them, or give the stage the "
                "physics term that it lacks"
            )
        limit = f"{100 * self.threshold:g}%"
        if self.more_passes:
            why = f"{unmeasured} and " * bool(unmeasured)
            rows = f"about {self.more_rows} more rows" if self.more_rows else "measure"
            return (
                f"more data: {error}, not surely within {limit}, since {why}passes over the "
                f"configurations differ by {np.expm1(self.pass_sd):.1%} (sd): {rows} in further "
                f"passes, or on a quieter machine{lacks}"
            )
        lacks += f"; {unmeasured}" * bool(unmeasured)
        if self.more_repeats:
            return (
                f"more data: {error}, not surely within {limit}, since too few repeats tell which "
                "part of the noise is a configuration's own: repeat configurations of the donors, "
                f"and fit anew{lacks}"
            )
        if self.verdict == "trust":
            return f"trust: {error}, within {limit}{lacks}"
        if self.more_rows == 0:
            return f"more data: {error}, within {limit}{lacks}"
        many = "more than 200" if self.more_rows is None else f"about {self.more_rows}"
        return f"more data: {error}, not surely within {limit}; {many} more rows{lacks}"


def choose_target(data: PosteriorData, gpu: str, stack: str | None) -> str:
    """Return the stack that a GPU was calibrated with.

    Parameters
    ----------
    data : PosteriorData
    gpu : str
        Key.
    stack : str or None
        None: the one that configs without a stack are taken for.

    Raises
    ------
    InputError
        If it was not calibrated, or with several and none is named.
    """
    stacks = [name for key, name in data.targets if key == gpu]
    if not stacks:
        raise InputError(f"{gpu} was not calibrated; calibrate it first")
    if stack is None:
        stack = stacks[0] if len(stacks) == 1 else data.unnamed_stack(gpu)
    if stack not in stacks:
        named = ", ".join(map(repr, stacks))
        raise InputError(f"{gpu} was calibrated with the stacks {named}; name one of them")
    return stack


def judge_transfer(
    data: PosteriorData,
    gpu: Gpu,
    stack: str,
    *,
    threshold: float = 0.10,
    passes: PassDifferences | None = None,
    seed: int = 0,
) -> Transfer:
    """Judge whether a calibrated GPU's predictions can be trusted.

    `refit as donor` if rows like these are improbable in the donors' family: three tests a stage
    (`check_membership`), together with a false-alarm rate of 1 % (Bonferroni). So is a GPU that was
    fitted and has changed since (`find_drift`, with 1 % of its own). Else `trust` if the MAPE of
    the total is within the threshold with 95 % probability, by the posterior, and no row
    was set aside as a gross error without another run to tell whether it is one; else `more data`.
    The error is that of typical runs of a further pass over the configurations, as far as `passes`
    or those of the donors tell how passes differ (`pass_offset`): rows of the same passes do not
    lower that part of it.

    Parameters
    ----------
    data : PosteriorData
        With the GPU among its targets.
    gpu : Gpu
    stack : str
    threshold : float
        Of the MAPE: 0.10 is 10 %.
    passes : PassDifferences, optional
        Those that the GPU's rows were measured in.
    seed : int

    Returns
    -------
    Transfer

    Raises
    ------
    InputError
        If the threshold is not a positive number.
    """
    if not is_between(threshold, 0):
        raise InputError(
            f"threshold is {tell(threshold)}; it must be a positive number, as 0.10 for 10 %"
        )
    stages = check_membership(data, gpu, stack, seed=seed)
    changed = _changes(data, gpu, stack, seed)
    alarms = (*changed, *_alarms(stages))
    outlook = ErrorOutlook.of(data, gpu, stack, seed=seed)
    further = pass_offset(data, passes, outlook.size, np.random.default_rng([seed, 19]))
    more, more_passes, more_repeats = outlook.more_rows(further.offset, threshold), False, False
    if more is None:
        more = outlook.more_rows(np.zeros(outlook.size), threshold)
        more_passes = more is not None
    if more is None:
        more = replace(outlook, sure_of_shared=True).more_rows(further.offset, threshold)
        more_repeats = more is not None
    gross = find_gross_errors(data, gpu.key, stack)
    lacks = more_passes or more_repeats or any(each.unsettled for each in gross)
    settled = more == 0 and not lacks
    verdict: Verdict = "trust" if settled else "more data"
    return Transfer(
        gpu=gpu.key,
        stack=stack,
        rows=data.measured_rows(gpu.key, stack),
        stages=stages,
        alarms=alarms,
        changed=changed,
        error=outlook.expected(further.offset),
        threshold=threshold,
        more_rows=more,
        more_passes=more_passes,
        more_repeats=more_repeats,
        gross=gross,
        passes=passes,
        pass_sd=further.sd,
        verdict="refit as donor" if alarms else verdict,
    )


def _alarms(stages: Mapping[str, Membership]) -> list[str]:
    """Tell what is improbable in the donors' family."""
    tests = sum(len(seen.p_values) for seen in stages.values())
    limit = FALSE_ALARMS / max(tests, 1)
    told = []
    for stage, seen in stages.items():
        if seen.p_offset <= limit:
            told.append(f"{stage}: efficiencies too far from the donors', p = {seen.p_offset:.1g}")
        if seen.p_misfit <= limit:
            told.append(f"{stage}: errors larger than the donors', p = {seen.p_misfit:.1g}")
        if seen.p_structure <= limit:
            told.append(f"{stage}: scales unlike the donors, p = {seen.p_structure:.1g}")
    return told


def _changes(data: PosteriorData, gpu: Gpu, stack: str, seed: int) -> tuple[str, ...]:
    """Tell where the rows of a GPU that was fitted do not follow what was."""
    if (gpu.key, stack) not in data.groups:
        return ()
    target = data.targets[gpu.key, stack]
    # All runs of a configuration are repeats, whatever their trace called them.
    rows = target.rows.assign(gpu=gpu.key, repeat=np.arange(len(target.rows)))
    columns = {stage: data.spec.stages[stage].column for stage in target.stages}
    for stage, column in columns.items():
        sound = sound_rows_of(data.spec, stage, target).index
        rows[column] = rows[column].where(rows.index.isin(sound))
    rows = rows[rows[list(columns.values())].notna().any(axis=1)]
    if rows.empty:
        return ()
    before = replace(data, targets={})
    found = find_drift(before, rows, stack=stack, alarm_rate=FALSE_ALARMS, seed=seed)
    return tuple(map(_told_change, found.drifted))


def _told_change(found: StageDrift) -> str:
    """Say what changed in a stage, and by how much: all terms alike, if that is as likely."""
    p_value = f"p = {found.p_adjusted:.1g}"
    if found.since is None or not found.changes:
        return f"{found.stage}: noise {found.noise_ratio:.2g} times as large, {p_value}"
    first = found.changes[0]
    alike = [each for each in found.changes if each.feature == TOGETHER]
    if TOGETHER in first.confused_with and alike and np.isfinite(alike[0].change):
        first = alike[0]
    if first.feature == CORRECTION or not np.isfinite(first.change):
        return f"{found.stage}: {first.feature} has changed, {p_value}"
    what = "" if first.feature == TOGETHER else f"`{first.feature}` "
    pace = "slower" if first.change > 0 else "faster"
    return f"{found.stage}: {what}{abs(first.change):.1%} {pace}, {p_value}"
