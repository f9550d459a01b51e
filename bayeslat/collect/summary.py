"""What collected traces are worth: how repeats scatter, and whether the stages add up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from bayeslat.collect.collection import OUT_OF_MEMORY
from bayeslat.collect.drift import Drift, reference_drift
from bayeslat.counted import counted
from bayeslat.errors import InputError, TraceError
from bayeslat.traces import locate, report, stage_columns, violations_at
from bayeslat.traces.cells import is_true
from bayeslat.traces.names import GPU, STACK
from bayeslat.traces.violations import TABLE

__all__ = [
    "TOLERATED_GAP",
    "CollectionSummary",
    "check_collected",
    "stage_sum_ratio",
    "summarise",
    "summarise_stages",
]

TOLERATED_GAP = 0.03
"""Part of the end-to-end time by which the sum of the stages may miss it."""


@dataclass(frozen=True)
class CollectionSummary:
    """What the rows of one device with one software, in one file, are worth.

    Attributes
    ----------
    gpu : str
    stack : str or None
        Software, where the trace tells it.
    file : str or None
        Where the rows were read from.
    configs, rows : int
    out_of_memory : int
        Configurations that needed more memory than there is.
    stages : DataFrame, one row a stage
        See `summarise_stages`.
    sum_ratio : tuple of float
        Sum of the stages over the end-to-end time that was measured apart: its 5 %, 50 % and 95 %
        quantiles over the rows.
    drift : Drift or None
        Of the reference.
    unsteady, throttled, shared : int
        Rows whose passes did not settle; that were measured while the GPU was throttled; while
        other processes ran.
    """

    gpu: str
    stack: str | None
    file: str | None
    configs: int
    rows: int
    out_of_memory: int
    stages: pd.DataFrame
    sum_ratio: tuple[float, float, float]
    drift: Drift | None
    unsteady: int
    throttled: int
    shared: int

    @property
    def adds_up(self) -> bool:
        """Whether the stages are the whole request, but for a tolerated gap."""
        return not abs(self.sum_ratio[1] - 1.0) > TOLERATED_GAP

    @property
    def findings(self) -> tuple[str, ...]:
        """What a user should know before trusting the rows."""
        found = []
        if not self.adds_up:
            found.append(
                f"the stages sum to {self.sum_ratio[1]:.3f} of the end-to-end time that was "
                f"measured apart, more than {TOLERATED_GAP:.0%} off"
            )
        if self.drift is not None and not self.drift.tolerable:
            found.append(
                f"the reference drifted by {self.drift.change:+.1%} (+- "
                f"{self.drift.change_se:.1%}) in {self.drift.hours:.2g} hours: rows of an early "
                "and a late time differ by it"
            )
        told = (
            (self.out_of_memory, "config", "ran out of memory"),
            (self.unsteady, "row", "did not settle while warmed up (column steady)"),
            (self.throttled, "row", "measured while the GPU was throttled (column throttled)"),
            (self.shared, "row", "measured while other processes ran (column shared)"),
        )
        return (*found, *(f"{counted(count, noun)} {what}" for count, noun, what in told if count))

    def record(self) -> dict[str, Any]:
        """Return everything for JSON."""
        return {
            "gpu": self.gpu,
            "stack": self.stack,
            "file": self.file,
            "configs": self.configs,
            "rows": self.rows,
            "out_of_memory": self.out_of_memory,
            "stages": self.stages.to_dict("records"),
            "stage_sum_over_end_to_end": dict(
                zip(("q05", "q50", "q95"), self.sum_ratio, strict=True)
            ),
            "reference_drift": None if self.drift is None else self.drift.record(),
            "unsteady": self.unsteady,
            "throttled": self.throttled,
            "shared": self.shared,
            "findings": list(self.findings),
        }


def summarise(frame: pd.DataFrame) -> tuple[CollectionSummary, ...]:
    """Return what each device's rows are worth, by software and file.

    Each has configurations of its own, and another file may be of another board.

    Parameters
    ----------
    frame : DataFrame
        Collected traces.
    """
    stacks = frame[STACK] if STACK in frame else pd.Series(None, frame.index, dtype=object)
    where = locate(frame)
    files = np.array(where.files, dtype=object)[where.file_index]
    groups = frame.groupby([frame[GPU], stacks, files], sort=False, dropna=False)
    return tuple(
        _summarise_device(
            str(gpu),
            stack if isinstance(stack, str) else None,
            None if file == TABLE else str(file),
            rows,
        )
        for (gpu, stack, file), rows in groups
    )


def check_collected(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a trace, if a collection wrote it.

    Raises
    ------
    InputError
        If it lacks columns that a collection writes, or holds rows that no collection wrote.
    """
    told = ["config_id", "reference", "outcome", "steady"]
    needed = (*told, "stage_sum_ms", "end_to_end_ms")
    lacking = [name for name in needed if name not in frame]
    if lacking:
        raise InputError(
            f"the traces have no column {', '.join(lacking)}: `bayeslat collect` has not written "
            "them; name traces that it wrote"
        )
    message = f"`bayeslat collect` has not written this: no {' or '.join(told)}; leave it out"
    foreign = violations_at(frame, frame[told].isna().any(axis=1).to_numpy(), None, message)
    if foreign:
        raise TraceError(report(foreign), foreign)
    return frame


def stage_sum_ratio(frame: pd.DataFrame) -> pd.Series:
    """Return the sum of the stages over the end-to-end time of each row.

    The two were measured in different passes: the stages with the timer on, the whole without.

    Parameters
    ----------
    frame : DataFrame
        A collected trace.

    Returns
    -------
    Series, dim (measurement,)
    """
    return frame["stage_sum_ms"] / frame["end_to_end_ms"]


def summarise_stages(frame: pd.DataFrame) -> pd.DataFrame:
    """Return range and repeat noise of each stage, and of the total.

    Parameters
    ----------
    frame : DataFrame
        A collected trace of one device.

    Returns
    -------
    DataFrame, one row a stage
        Columns stage, `q05_ms`, `q50_ms`, `q95_ms` over the rows, and `spread`: (largest -
        smallest) / median over the repeats of a configuration, median over the configurations;
        NaN without repeats. The reference's own measurements are left out of the spread.
    """
    names = {
        column: column.removeprefix("t_").removesuffix("_ms") for column in stage_columns(frame)
    }
    names["stage_sum_ms"] = "total"
    return pd.DataFrame(
        {
            "stage": name,
            "q05_ms": frame[column].quantile(0.05),
            "q50_ms": frame[column].quantile(0.5),
            "q95_ms": frame[column].quantile(0.95),
            "spread": _spread(frame, column),
        }
        for column, name in names.items()
    )


def _summarise_device(
    gpu: str, stack: str | None, file: str | None, rows: pd.DataFrame
) -> CollectionSummary:
    ratio = stage_sum_ratio(rows).quantile([0.05, 0.5, 0.95])
    too_large = rows.loc[rows["outcome"] == OUT_OF_MEMORY, "config_id"].nunique()
    measured = rows["outcome"] != OUT_OF_MEMORY
    return CollectionSummary(
        gpu=gpu,
        stack=stack,
        file=file,
        configs=rows["config_id"].nunique(),
        rows=len(rows),
        out_of_memory=too_large,
        stages=summarise_stages(rows),
        sum_ratio=(float(ratio[0.05]), float(ratio[0.5]), float(ratio[0.95])),
        drift=reference_drift(rows),
        unsteady=int((measured & ~is_true(rows["steady"])).sum()),
        throttled=_count(rows, "throttled"),
        shared=_count(rows, "shared"),
    )


def _count(rows: pd.DataFrame, flag: str) -> int:
    return int(is_true(rows[flag]).sum()) if flag in rows else 0


def _spread(rows: pd.DataFrame, column: str) -> float:
    configs = rows[~is_true(rows["reference"])].groupby("config_id")[column]
    spread = (configs.max() - configs.min()) / configs.median()
    return float(spread[configs.count() > 1].median())
