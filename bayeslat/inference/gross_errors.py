"""The rows of a calibrated GPU that were set aside, and what its other rows say of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayeslat.features.spec import Spec
from bayeslat.inference.posterior import PosteriorData
from bayeslat.inference.repeats import number_configs
from bayeslat.inference.stage_rows import latency_of, least_ms
from bayeslat.inference.target import Target

__all__ = [
    "GrossError",
    "Repeats",
    "find_gross_errors",
    "is_unsettled",
    "repeats_of",
    "sound_rows_of",
]

type Repeats = Literal["none", "sound", "alike"]
"""Of other runs of the configuration: there are none, one is sound, or one is as far off."""

_ALIKE = 2.0  # times that latencies of two runs may differ, to be as far off


@dataclass(frozen=True)
class GrossError:
    """A row whose latency the other rows make impossible; the posterior does not stand on it.

    Attributes
    ----------
    gpu, stack : str
    file : str
        As its user named it; `(table)` for rows that were not read from one.
    row : int
        In that file; 1 is the first row below the header.
    config_id : str
        Empty where the trace has none.
    ratio : mapping of stage to float
        Latency over what the other rows say it is, in the stages where it is impossible.
    repeats : mapping of stage to Repeats
        Where none is sound, the configuration is to be measured again; where they are alike, it is
        no error: the GPU is unlike the donors there.
    """

    gpu: str
    stack: str
    file: str
    row: int
    config_id: str
    ratio: Mapping[str, float]
    repeats: Mapping[str, Repeats]

    @property
    def unsettled(self) -> bool:
        """Whether another measurement of the configuration is needed to know."""
        return "none" in self.repeats.values()


def find_gross_errors(
    data: PosteriorData, gpu: str | None = None, stack: str | None = None
) -> tuple[GrossError, ...]:
    """List the rows of calibrated GPUs that were set aside.

    Parameters
    ----------
    data : PosteriorData
    gpu : str, optional
        Key; all by default.
    stack : str, optional
        All by default.

    Returns
    -------
    tuple of GrossError
        In the order of the targets and of their rows.
    """
    return tuple(
        error
        for group, target in data.targets.items()
        if gpu in (None, group[0]) and stack in (None, group[1])
        for error in _of_target(data, group, target)
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
    if not len(part.set_aside):
        return {}
    ratio = pd.Series(part.set_aside_ratio, part.set_aside)
    labels = number_configs(target.rows[data.reference.columns.to_list()])
    held = latency_of(data.spec, stage, target.rows) > least_ms(data.spec, stage)
    said: dict[int, Repeats] = {}
    for at in part.set_aside.tolist():
        others = np.flatnonzero(held & (labels == labels[at]))
        others = others[others != at]
        apart = np.abs(np.log(ratio.reindex(others) / ratio[at]))  # NaN for those that are sound
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
    unsettled = np.zeros(len(target.rows), dtype=bool)
    for stage in target.stages:
        for row, said in repeats_of(data, target, stage).items():
            unsettled[row] |= said == "none"
    return unsettled


def _of_target(data: PosteriorData, group: tuple[str, str], target: Target) -> list[GrossError]:
    """List the rows of one GPU and stack."""
    repeats = {stage: repeats_of(data, target, stage) for stage in target.stages}
    ratios = {
        stage: dict(zip(part.set_aside.tolist(), part.set_aside_ratio.tolist(), strict=True))
        for stage, part in target.stages.items()
    }
    return [
        GrossError(
            gpu=group[0],
            stack=group[1],
            file=str(target.origin["file"].iloc[at]),
            row=int(target.origin["row"].iloc[at]),
            config_id=str(target.origin["config_id"].iloc[at]),
            ratio={stage: each[at] for stage, each in ratios.items() if at in each},
            repeats={stage: each[at] for stage, each in repeats.items() if at in each},
        )
        for at in sorted({at for each in ratios.values() for at in each})
    ]
