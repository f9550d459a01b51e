"""The rows that were set aside, and what the other rows of their GPU say of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayeslat.features.spec import Spec
from bayeslat.inference.posteriors.gross_error import GrossError, Repeats
from bayeslat.inference.posteriors.origin import origin_of
from bayeslat.inference.posteriors.posterior import PosteriorData
from bayeslat.inference.posteriors.target import Target
from bayeslat.inference.rows.plan import FitPlan
from bayeslat.inference.rows.repeats import number_configs
from bayeslat.inference.rows.stage_rows import latency_of, least_ms

__all__ = [
    "GrossError",
    "Repeats",
    "donor_gross_errors",
    "find_gross_errors",
    "is_unsettled",
    "remembered_ratios",
    "repeats_of",
    "sound_rows_of",
    "stands_alone",
    "without_gross_errors",
]

_ALIKE = 2.0  # times that latencies of two runs may differ, to be as far off


def find_gross_errors(
    data: PosteriorData, gpu: str | None = None, stack: str | None = None, *, first: int = 0
) -> tuple[GrossError, ...]:
    """List the rows of calibrated GPUs that were set aside.

    Parameters
    ----------
    data : PosteriorData
    gpu : str, optional
        Key; all by default.
    stack : str, optional
        All by default.
    first : int
        Of a target's rows, the first that counts: later calibrations append theirs.

    Returns
    -------
    tuple of GrossError
        In the order of the targets and of their rows.
    """
    return tuple(
        error
        for group, target in data.targets.items()
        if gpu in (None, group[0]) and stack in (None, group[1])
        for error in _of_target(data, group, target, first)
    )


def repeats_of(data: PosteriorData, target: Target, stage: str) -> dict[int, Repeats]:
    """Tell what other runs of their configurations say of the rows that were set aside.

    Parameters
    ----------
    data : PosteriorData
    target : Target
    stage : str

    Returns
    -------
    dict of int to Repeats
        By the row's position in the target.
    """
    part = target.stages[stage]
    ratio = dict(zip(part.set_aside.tolist(), part.set_aside_ratio.tolist(), strict=True))
    return _told_by_repeats(data.spec, stage, target.rows, ratio, data.reference.columns.to_list())


def donor_gross_errors(
    plan: FitPlan, set_aside: Mapping[str, Mapping[int, float]]
) -> tuple[GrossError, ...]:
    """List the rows of donors that a fit set aside.

    Parameters
    ----------
    plan : FitPlan
    set_aside : mapping of stage to mapping of int to float
        By position in the table: latency over what the other rows say it is.

    Returns
    -------
    tuple of GrossError
        In the order of the groups and of their rows.
    """
    if not any(set_aside.values()):
        return ()
    found: list[GrossError] = []
    origin, same = origin_of(plan.frame), plan.reference.columns.to_list()
    for group, members in zip(plan.groups, plan.members, strict=True):
        place = {at: number for number, at in enumerate(members.tolist())}
        ratios = {
            stage: {place[at]: ratio for at, ratio in each.items() if at in place}
            for stage, each in set_aside.items()
        }
        if any(ratios.values()):
            rows = plan.frame.iloc[members]
            repeats = {
                stage: _told_by_repeats(plan.spec, stage, rows, each, same)
                for stage, each in ratios.items()
            }
            found += _list(group, origin.iloc[members], ratios, repeats, donor=True)
    return tuple(found)


def without_gross_errors(
    spec: Spec, frame: pd.DataFrame, errors: Iterable[GrossError]
) -> pd.DataFrame:
    """Take the latencies that were set aside out of a trace, as if they were not measured.

    Parameters
    ----------
    spec : Spec
    frame : DataFrame, one row a measurement
    errors : iterable of GrossError
        Rows that were not read from the trace's files are passed over.

    Returns
    -------
    DataFrame, one row a measurement
    """
    gross = remembered_ratios(frame, errors)
    if not any(gross):
        return frame
    columns = {part.column: name for name, part in spec.stages.items() if part.column in frame}
    return frame.assign(
        **{
            column: frame[column].mask(np.array([stage in each for each in gross], dtype=bool))
            for column, stage in columns.items()
        }
    )


def remembered_ratios(
    frame: pd.DataFrame, errors: Iterable[GrossError]
) -> list[Mapping[str, float]]:
    """Tell how far off each row of a trace was when it was set aside.

    Parameters
    ----------
    frame : DataFrame, one row a measurement
    errors : iterable of GrossError

    Returns
    -------
    list over row of mapping of stage to float
        Latency over what the other rows said it was; empty for rows that were not set aside.
    """
    stages = {(error.file, error.row): error.ratio for error in errors}
    if not stages:
        return [{}] * len(frame)
    origin = origin_of(frame)
    return [stages.get(at, {}) for at in zip(origin["file"], origin["row"], strict=True)]


def _told_by_repeats(
    spec: Spec, stage: str, rows: pd.DataFrame, ratio: Mapping[int, float], same: list[str]
) -> dict[int, Repeats]:
    """Tell what other runs say of the rows of a GPU that were set aside, by position.

    Runs with equal values in the columns `same` are of one configuration.
    """
    if not ratio:
        return {}
    labels = number_configs(rows[same])
    held = latency_of(spec, stage, rows) > least_ms(spec, stage)
    near = np.flatnonzero(held & np.isin(labels, labels[list(ratio)]))
    far = pd.Series(ratio)
    said: dict[int, Repeats] = {}
    for at in ratio:
        others = near[(labels[near] == labels[at]) & (near != at)]
        apart = np.abs(np.log(far.reindex(others) / ratio[at]))  # NaN for those that are sound
        if apart.isna().any():
            said[at] = "sound"
        else:
            said[at] = "alike" if (apart < np.log(_ALIKE)).any() else "none"
    return said


def sound_rows_of(spec: Spec, stage: str, target: Target) -> pd.DataFrame:
    """Return the rows that a stage of a calibrated GPU stands on.

    Parameters
    ----------
    spec : Spec
    stage : str
    target : Target

    Returns
    -------
    DataFrame, one row a measurement
        Those that hold the stage (above its hurdle), without gross errors.
    """
    sound = latency_of(spec, stage, target.rows) > least_ms(spec, stage)
    sound[target.stages[stage].set_aside] = False
    return target.rows[sound]


def is_unsettled(data: PosteriorData, target: Target) -> NDArray[np.bool_]:
    """Whether another run of a row's configuration is needed to know if it is an error.

    Parameters
    ----------
    data : PosteriorData
    target : Target

    Returns
    -------
    ndarray of bool, shape (row,)
    """
    return _which(data, target, {"none"})


def stands_alone(data: PosteriorData, target: Target) -> NDArray[np.bool_]:
    """Whether a row was set aside, and every other run of its configuration.

    Parameters
    ----------
    data : PosteriorData
    target : Target

    Returns
    -------
    ndarray of bool, shape (row,)
    """
    return _which(data, target, {"none", "alike"})


def _which(data: PosteriorData, target: Target, told: Set[Repeats]) -> NDArray[np.bool_]:
    """Tell of which rows that were set aside, in any stage, other runs say such a thing."""
    found = np.zeros(len(target.rows), dtype=bool)
    for stage in target.stages:
        for row, said in repeats_of(data, target, stage).items():
            found[row] |= said in told
    return found


def _of_target(
    data: PosteriorData, group: tuple[str, str], target: Target, first: int
) -> list[GrossError]:
    """List the rows of one GPU and stack, from one on."""
    repeats = {stage: repeats_of(data, target, stage) for stage in target.stages}
    ratios = {
        stage: {
            at: ratio
            for at, ratio in zip(
                part.set_aside.tolist(), part.set_aside_ratio.tolist(), strict=True
            )
            if at >= first
        }
        for stage, part in target.stages.items()
    }
    return _list(group, target.origin, ratios, repeats)


def _list(
    group: tuple[str, str],
    origin: pd.DataFrame,
    ratios: Mapping[str, Mapping[int, float]],
    repeats: Mapping[str, Mapping[int, Repeats]],
    *,
    donor: bool = False,
) -> list[GrossError]:
    """Put what is known of each row together, by position in `origin`."""
    return [
        GrossError(
            gpu=group[0],
            stack=group[1],
            file=str(origin["file"].iloc[at]),
            row=int(origin["row"].iloc[at]),
            config_id=str(origin["config_id"].iloc[at]),
            ratio={stage: each[at] for stage, each in ratios.items() if at in each},
            repeats={stage: each[at] for stage, each in repeats.items() if at in each},
            donor=donor,
        )
        for at in sorted({at for each in ratios.values() for at in each})
    ]
