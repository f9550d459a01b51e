"""Latencies that a method can learn from, and an error where they are too few."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayeslat.counted import counted
from bayeslat.decisions.prediction import TOTAL
from bayeslat.errors import InputError
from bayeslat.evaluation.measured import measured_latencies
from bayeslat.features.hardware import Gpu
from bayeslat.features.spec import Spec
from bayeslat.inference.rows.stage_rows import least_ms

__all__ = ["Observations", "observe", "observe_target"]


@dataclass(frozen=True, eq=False)
class Observations:
    """The rows that hold one stage, or the total; of a stage with a hurdle, those above it.

    Attributes
    ----------
    configs : DataFrame, one row a measurement
    ms : ndarray, shape (row,)
    """

    configs: pd.DataFrame
    ms: NDArray[np.float64]

    @property
    def log_ms(self) -> NDArray[np.float64]:
        """Log of the latencies. Shape (row,)."""
        logs: NDArray[np.float64] = np.log(self.ms)
        return logs

    @property
    def floor_ms(self) -> float:
        """Half of the shortest latency: what a method that could fall below 0 is cut at."""
        return 0.5 * float(self.ms.min())


class Calibrated(Protocol):
    """A method that is calibrated with rows of a target."""

    @property
    def name(self) -> str:
        """For the message."""
        ...

    @property
    def least_rows(self) -> int:
        """Rows that each stage needs."""
        ...


def observe_target(
    method: Calibrated, spec: Spec, rows: pd.DataFrame, gpu: Gpu, names: Iterable[str]
) -> Mapping[str, Observations]:
    """Split a target's measurements, as many as a method needs; otherwise as `observe`."""
    return observe(spec, rows, gpu, names, least=method.least_rows, method=method.name)


def observe(
    spec: Spec, rows: pd.DataFrame, gpu: Gpu, names: Iterable[str], *, least: int, method: str
) -> Mapping[str, Observations]:
    """Split measurements by what they hold.

    Of a stage with a hurdle, rows that took no time are left out: all methods are told, and asked,
    how long it takes if it takes time.

    Parameters
    ----------
    spec : Spec
    rows : DataFrame, one row a measurement
        Of one GPU.
    gpu : Gpu
    names : iterable of str
        Stages, or `total`, which needs every stage that runs.
    least : int
        Rows that each needs.
    method : str
        For the message.

    Raises
    ------
    InputError
        With every stage that has too few.
    """
    latencies = measured_latencies(spec, rows, gpu)
    found = {name: _held(rows, latencies[name], _above_ms(spec, name)) for name in names}
    few = [
        f"{_label(spec, name)} {len(each.ms)}"
        for name, each in found.items()
        if len(each.ms) < least
    ]
    if few:
        raise InputError(
            f"{method}: of {counted(len(rows), 'row')} of {gpu.key}, {', '.join(few)}; each "
            f"needs at least {least}. Measure more, or take a method that needs fewer"
        )
    return found


def _held(rows: pd.DataFrame, ms: NDArray[np.float64], above_ms: float) -> Observations:
    held = np.isfinite(ms) & (ms > above_ms)
    return Observations(rows[held], ms[held])


def _above_ms(spec: Spec, name: str) -> float:
    return 0.0 if name == TOTAL else least_ms(spec, name)


def _label(spec: Spec, name: str) -> str:
    if name == TOTAL:
        return "all stages are in"
    above_ms = _above_ms(spec, name)
    return f"stage {name!r} is {f'above {above_ms:g} ms ' if above_ms else ''}in"
