"""Gross errors of a pass: left out of the windows, and counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bayeslat.inference.calibration.sound_rows import MOST_IMPOSSIBLE
from bayeslat.inference.rows.windows import Window, total_sums

__all__ = ["SetAside", "leave_gross_out"]


@dataclass(frozen=True)
class SetAside:
    """Latencies that a pass set aside.

    Attributes
    ----------
    window : str
    gpu, stack : str
    stage : str
    rows : int
    """

    window: str
    gpu: str
    stack: str
    stage: str
    rows: int


def leave_gross_out(
    sound: Mapping[str, Window], gross: Mapping[str, Window], groups: Sequence[tuple[str, str]]
) -> tuple[dict[str, Window], tuple[SetAside, ...]]:
    """Leave gross errors out, but those of groups that hold too many to be any.

    More than a quarter of a group's rows of a stage, all windows together: then the group is not
    what it was settled as, which is no error of single rows.

    Parameters
    ----------
    sound, gross : mapping of str to Window
        The other rows, and those that the settled pilots make impossible, of the same windows.
    groups : sequence of (gpu, stack)

    Returns
    -------
    windows : dict of str to Window
    set_aside : tuple of SetAside
    """
    stages = list(next(iter(sound.values())).stages) if sound else []
    usual = {}
    for stage in stages:
        wrong = total_sums(gross.values(), stage).measured
        usual[stage] = wrong > MOST_IMPOSSIBLE * (
            wrong + total_sums(sound.values(), stage).measured
        )
    windows, told = {}, []
    for name, window in sound.items():
        sums = dict(window.stages)
        for stage, part in gross[name].stages.items():
            if usual[stage].any():
                sums[stage] = sums[stage] + part.only(usual[stage])
            left_out = part.measured * ~usual[stage]
            told += [
                SetAside(name, *group, stage, int(rows))
                for group, rows in zip(groups, left_out, strict=True)
                if rows
            ]
        windows[name] = Window(window.rows, sums)
    return windows, tuple(told)
