"""Groups that have changed: rows so far from a settled point that sums of them mislead.

A pass calms what is far from the centre that was settled, by Huber's psi: single rows are outliers.
Where most rows of a group are far, on one side, it calms what they have to say, and a fit of the
sums stays at the old centre, surer than before. A shift of d scales of the noise is then taken for
d / (1 + d^2 / dof): a fifth is lost of one scale at 4 degrees of freedom.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayeslat.errors import InputError
from bayeslat.features.admit import resolve_gpus
from bayeslat.features.hardware import load_hardware
from bayeslat.inference.compression.settled_rows import settled_rows
from bayeslat.inference.rows.plan import plan_admitted
from bayeslat.inference.rows.settled import SettledPoint
from bayeslat.model.groups import name_group

__all__ = ["Change", "find_changes", "refuse_changed"]

_MOST = 1.0  # scales of the noise that the middle of a group's configurations may be off
_SURE = 4.0  # standard errors of it
_FAR, _MOST_FAR = 3.0, 0.25  # scales, and the part of the configurations beyond, on one side


@dataclass(frozen=True)
class Change:
    """A group that is not where the settled point has it.

    Attributes
    ----------
    gpu, stack, stage : str
    shift : float
        Median of its configurations, in log latency.
    noise : float
        Scale of its noise, in log latency.
    """

    gpu: str
    stack: str
    stage: str
    shift: float
    noise: float

    def __str__(self) -> str:
        """Say what changed, and how much is noise."""
        size = f"{abs(np.expm1(self.shift)):.1%} {'slower' if self.shift > 0 else 'faster'}"
        return f"{name_group(self.gpu, self.stack)}: {self.stage} {size} (noise {self.noise:.1%})"


def find_changes(point: SettledPoint, sample: pd.DataFrame) -> tuple[Change, ...]:
    """Find the groups and stages whose rows are too far from a settled point to be added there.

    Parameters
    ----------
    point : SettledPoint
    sample : DataFrame, one row a measurement
        Of the point's groups.

    Returns
    -------
    tuple of Change
        Not of stages with a hurdle, nor of what lies beyond the training range.
    """
    if sample.empty:
        return ()
    hardware = load_hardware().extended(point.hardware)
    plan = plan_admitted(point.spec, resolve_gpus(point.spec.complete(sample), hardware), hardware)

    def changes() -> Iterator[Change]:
        for group in plan.groups:
            for stage in point.stages:
                if point.spec.stages[stage].hurdle is not None:
                    continue
                rows = settled_rows(plan, point, stage, group)
                off = rows.config_offsets
                if _has_changed(off):
                    yield Change(*group, stage, float(np.median(off)) * rows.noise, rows.noise)

    return tuple(changes())


def refuse_changed(point: SettledPoint, sample: pd.DataFrame) -> None:
    """Refuse rows of groups that have changed.

    Parameters
    ----------
    point : SettledPoint
    sample : DataFrame, one row a measurement

    Raises
    ------
    InputError
        With every group and stage.
    """
    if found := find_changes(point, sample):
        raise InputError(
            "the new rows are farther from what was fitted than their noise, which sums cannot "
            f"follow ({'; '.join(map(str, found))}); `bayeslat drift` tells what changed and since "
            "when: fit anew, with rows of these groups since then"
        )


def _has_changed(off: NDArray[np.float64]) -> bool:
    """Judge configurations by how many scales of the noise each is off."""
    if len(off) < 2:
        return False
    middle = float(np.median(off))
    spread = max(1.4826 * float(np.median(np.abs(off - middle))), 1.0)  # of few, it is little
    error = 1.2533 * spread / np.sqrt(len(off))
    moved = abs(middle) > _MOST and abs(middle) > _SURE * error
    far = max(np.sum(off > _FAR), np.sum(off < -_FAR))
    return moved or bool(far > max(_MOST_FAR * len(off), _SURE))
