"""What a fit will do, settled before any stage: checked rows, groups, and the knob grid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayeslat.features.admit import admit
from bayeslat.features.gpu_rows import gpu_rows
from bayeslat.features.hardware import Gpu, HardwareTable, load_hardware
from bayeslat.features.spec import Spec
from bayeslat.features.thinning import evenly
from bayeslat.model.groups import GroupTree, grow_tree
from bayeslat.traces.row_stacks import row_stacks

__all__ = ["FitPlan", "plan_admitted", "plan_fit"]

_REFERENCE_CONFIGS = 512


@dataclass(frozen=True)
class FitPlan:
    """What is the same for every stage of a fit.

    Attributes
    ----------
    spec : Spec
    frame : DataFrame, one row a measurement
        With canonical GPU keys; index 0, 1, ...
    hardware : mapping of GPU key to Gpu
    groups : tuple of (gpu, stack)
    members : tuple of ndarray of int
        Positions of each group's rows in `frame`.
    reference : DataFrame, one row a config
    """

    spec: Spec
    frame: pd.DataFrame
    hardware: Mapping[str, Gpu]
    groups: tuple[tuple[str, str], ...]
    members: tuple[NDArray[np.int64], ...]
    reference: pd.DataFrame

    @property
    def gpus(self) -> tuple[str, ...]:
        """The GPUs, in order."""
        return tuple(dict.fromkeys(gpu for gpu, _ in self.groups))

    @property
    def tree(self) -> GroupTree:
        """Stacks, GPUs and families."""
        return grow_tree(self.groups, {gpu: self.hardware[gpu].family for gpu in self.gpus})


def plan_fit(
    spec: Spec,
    traces: pd.DataFrame,
    *,
    gpus: Sequence[str] | None = None,
    hardware: HardwareTable | None = None,
) -> FitPlan:
    """Check a trace and sort its rows into groups.

    Parameters and errors are those of `fit_posterior`.

    Returns
    -------
    FitPlan
    """
    table = hardware or load_hardware()
    chosen = [table.resolve(name).key for name in gpus] if gpus is not None else None
    if chosen is not None:
        traces = gpu_rows(traces, chosen, table)
    return plan_admitted(spec, admit(traces, spec, table, every_stage=True), table, chosen)


def plan_admitted(
    spec: Spec,
    frame: pd.DataFrame,
    hardware: HardwareTable,
    gpus: Sequence[str] | None = None,
) -> FitPlan:
    """Sort the rows of a trace that was admitted into groups.

    Parameters
    ----------
    spec : Spec
    frame : DataFrame, one row a measurement
        Of `admit`.
    hardware : HardwareTable
    gpus : sequence of str, optional
        Keys, in the order of the plan; sorted by default.

    Returns
    -------
    FitPlan
    """
    keys = gpus if gpus is not None else sorted(frame["gpu"].unique())
    stacks = row_stacks(frame)
    groups, members = [], []
    for key in dict.fromkeys(keys):
        for stack in sorted(stacks[frame["gpu"] == key].unique()):
            groups.append((key, stack))
            members.append(np.flatnonzero((frame["gpu"] == key) & (stacks == stack)))
    return FitPlan(
        spec=spec,
        frame=frame,
        hardware={key: hardware.resolve(key) for key in keys},
        groups=tuple(groups),
        members=tuple(members),
        reference=_reference(frame, spec),
    )


def _reference(frame: pd.DataFrame, spec: Spec) -> pd.DataFrame:
    """Distinct configurations, evenly thinned to a size that does not depend on the rows.

    With those that have the least and the most of each knob: they span the training range.
    """
    columns = [*spec.knobs, *(["task"] if "task" in frame else [])]
    grid = frame[columns].drop_duplicates().sort_values(columns, ignore_index=True)
    kept = {*evenly(len(grid), _REFERENCE_CONFIGS)}
    for knob in spec.knobs:
        kept |= {grid[knob].argmin(), grid[knob].argmax()}
    return grid.iloc[sorted(kept)].reset_index(drop=True)
