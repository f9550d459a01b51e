"""What the baselines regress on: the knobs that a stage depends on, in logs, and the task."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayeslat.decisions.prediction import TOTAL
from bayeslat.errors import InputError
from bayeslat.features.expressions import Expression
from bayeslat.features.spec import Spec
from bayeslat.features.tasks import NO_TASK, task_names
from bayeslat.traces.names import TASK

__all__ = ["KnobFeatures", "knob_features", "knobs_of"]

_TASK_SCALE = 0.5
"""sd of an even one-hot column; the sd of a rare task would blow its column up."""


@dataclass(frozen=True)
class KnobFeatures:
    """Knobs on a log scale, standardised over the donors, then one column a task.

    A knob that is 0 in some donor row enters as log(1 + knob), one that is negative as it is, all
    others as log(knob). One that never changes keeps its unit. Tasks that the donors lack get
    zeros in all task columns before centring.

    Attributes
    ----------
    knobs : tuple of str
    shifts : tuple of float or None, one a knob
        What is added before the log is taken; None where it is not.
    tasks : tuple of str
        Empty unless the donors name several.
    centre, scale : ndarray, shape (feature,)
    """

    knobs: tuple[str, ...]
    shifts: tuple[float | None, ...]
    tasks: tuple[str, ...]
    centre: NDArray[np.float64]
    scale: NDArray[np.float64]

    def columns(self, configs: pd.DataFrame) -> NDArray[np.float64]:
        """Evaluate the features. Shape (config, feature).

        Raises
        ------
        InputError
            If a knob is missing, or has no log.
        """
        raw = _raw(configs, self.knobs, self.shifts, self.tasks)
        scaled: NDArray[np.float64] = (raw - self.centre) / self.scale
        return scaled


def knob_features(configs: pd.DataFrame, knobs: Iterable[str]) -> KnobFeatures:
    """Fit the scale of features to configurations.

    Parameters
    ----------
    configs : DataFrame, one row a config
        Those of the donors.
    knobs : iterable of str

    Returns
    -------
    KnobFeatures

    Raises
    ------
    InputError
        If a knob is missing.
    """
    names = tuple(knobs)
    shifts = tuple(_shift(_column(configs, name)) for name in names)
    found = set(_tasks(configs)) - {NO_TASK}
    tasks = tuple(sorted(found)) if len(found) > 1 else ()
    raw = _raw(configs, names, shifts, tasks)
    sd = raw.std(axis=0)
    scale = np.where(sd > 1e-12, sd, 1.0)
    scale[len(names) :] = _TASK_SCALE
    return KnobFeatures(names, shifts, tasks, raw.mean(axis=0), scale)


def knobs_of(spec: Spec, name: str) -> tuple[str, ...]:
    """Return the knobs that the spec's expressions of a stage depend on.

    Parameters
    ----------
    spec : Spec
    name : str
        Stage, or `total`: all stages, and how often each runs.
    """
    stages = spec.stages.values() if name == TOTAL else (spec.stages[name],)
    used: list[Expression] = []
    for stage in stages:
        used += [term.expression for term in stage.physics.values()]
        used += stage.residual.features if stage.residual else ()
        used += [stage.times] if name == TOTAL else ()
    needed = frozenset[str]().union(*(spec.dependencies(each) for each in used))
    return tuple(knob for knob in spec.knobs if knob in needed)


def _shift(values: NDArray[np.float64]) -> float | None:
    """What to add before the log is taken; None for a knob without one."""
    least = float(values.min())
    return None if least < 0.0 else float(least == 0.0)


def _raw(
    configs: pd.DataFrame,
    knobs: tuple[str, ...],
    shifts: tuple[float | None, ...],
    tasks: tuple[str, ...],
) -> NDArray[np.float64]:
    """Features before they are standardised. Shape (config, feature)."""
    named = _tasks(configs) if tasks else ()
    columns = [
        *(
            _log(_column(configs, knob), knob, shift)
            for knob, shift in zip(knobs, shifts, strict=True)
        ),
        *(np.array([each == task for each in named], dtype=float) for task in tasks),
    ]
    return np.stack(columns, axis=1) if columns else np.empty((len(configs), 0))


def _log(values: NDArray[np.float64], knob: str, shift: float | None) -> NDArray[np.float64]:
    if shift is None:
        return values
    bad = values + shift <= 0.0
    if bad.any():
        rule = "every donor row has it above 0" if shift == 0.0 else "no donor row has it below 0"
        raise InputError(
            f"knob {knob!r} is {values[bad][0]:g} in row {bad.argmax() + 1}; {rule}, and its log "
            "is a feature: leave such rows out, or give the donors some"
        )
    logs: NDArray[np.float64] = np.log(values + shift)
    return logs


def _column(configs: pd.DataFrame, knob: str) -> NDArray[np.float64]:
    if knob not in configs:
        listed = ", ".join(map(str, configs.columns))
        raise InputError(f"no column {knob!r}, a knob of the spec; add it (columns: {listed})")
    return configs[knob].to_numpy(dtype=float, na_value=np.nan)


def _tasks(configs: pd.DataFrame) -> list[str]:
    named = configs[TASK].tolist() if TASK in configs else None
    return list(task_names(named, len(configs)))
