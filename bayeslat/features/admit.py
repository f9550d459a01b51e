"""Which rows of a trace a spec and a hardware table can take."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pandas as pd

from bayeslat.errors import TraceError
from bayeslat.features.design import physics_ms, stage_inputs
from bayeslat.features.hardware import Gpu, HardwareTable
from bayeslat.features.spec import Spec
from bayeslat.traces import Violation, check_frame, drop_invalid, report, violations_at
from bayeslat.traces.violations import TABLE

__all__ = ["admit", "admit_valid", "find_violations", "resolve_gpus"]

_FASTEST, _SLOWEST = 0.2, 500.0  # latency over the physics at data-sheet peaks
_ALL_OFF = 0.5  # a unit is wrong when more than this part of a GPU's rows is outside


def admit(frame: pd.DataFrame, spec: Spec, hardware: HardwareTable) -> pd.DataFrame:
    """Check a trace against its spec and hardware, and give the GPUs their keys.

    Parameters
    ----------
    frame : DataFrame, one row a measurement
    spec : Spec
    hardware : HardwareTable

    Returns
    -------
    DataFrame
        A copy with canonical keys in `gpu`.

    Raises
    ------
    TraceError
        With every violation at once.
    """
    violations = find_violations(frame, spec, hardware)
    if violations:
        raise TraceError(report(violations), violations)
    return resolve_gpus(frame, hardware)


def admit_valid(
    frame: pd.DataFrame, spec: Spec, hardware: HardwareTable
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Check a trace, and split off the rows that break a rule.

    Parameters
    ----------
    frame : DataFrame, one row a measurement
    spec : Spec
    hardware : HardwareTable

    Returns
    -------
    kept, dropped : DataFrame
        In the order of `frame`.

    Raises
    ------
    TraceError
        If a column breaks a rule, which dropping rows cannot cure, or no row is left.
    """
    return drop_invalid(frame, find_violations(frame, spec, hardware))


def resolve_gpus(frame: pd.DataFrame, hardware: HardwareTable) -> pd.DataFrame:
    """Return a copy whose `gpu` holds keys of the hardware table in place of aliases."""
    keys = {name: hardware.resolve(str(name)).key for name in frame["gpu"].unique()}
    return frame.assign(gpu=frame["gpu"].map(keys))


def find_violations(
    frame: pd.DataFrame, spec: Spec, hardware: HardwareTable
) -> tuple[Violation, ...]:
    """Find everything in a trace that the spec or the hardware table cannot take.

    Parameters
    ----------
    frame : DataFrame, one row a measurement
    spec : Spec
    hardware : HardwareTable

    Returns
    -------
    tuple of Violation
        Those of the trace table itself first.
    """
    found = check_frame(frame)
    if "gpu" not in frame or not len(frame):
        return found
    found += tuple(_unknown_gpus(frame, hardware))
    columns = tuple(_bad_columns(frame, spec))
    found += columns
    if not columns:
        found += tuple(_odd_units(frame, spec, hardware))
    return found


def _unknown_gpus(frame: pd.DataFrame, hardware: HardwareTable) -> Iterator[Violation]:
    for name in frame["gpu"].dropna().unique():
        if isinstance(name, str) and hardware.find(name) is None:
            nearest = ", ".join(hardware.nearest(name))
            yield from violations_at(
                frame,
                (frame["gpu"] == name).to_numpy(),
                "gpu",
                f"GPU {name!r} is not in the hardware table; nearest: {nearest}. "
                "Correct the name, or describe the GPU in a file and pass --hardware FILE",
            )


def _bad_columns(frame: pd.DataFrame, spec: Spec) -> Iterator[Violation]:
    """Knobs that are missing, not numbers or not finite; stages without a column."""
    for knob in spec.knobs:
        if knob not in frame:
            yield from _everywhere(
                frame, knob, f"knob {knob!r} of spec {spec.name!r} is missing; add the column"
            )
            continue
        numbers = _to_numbers(frame[knob])
        yield from violations_at(
            frame,
            ~np.isfinite(numbers),
            knob,
            f"knob {knob!r} must be a finite number in every row; fill it in or drop the row",
        )
    if spec.uses_task and "task" not in frame:
        yield from _everywhere(frame, "task", "the spec names `task`; add the column")
    if not any(stage.column in frame for stage in spec.stages.values()):
        names = ", ".join(stage.column for stage in spec.stages.values())
        yield from _everywhere(
            frame, None, f"no stage of spec {spec.name!r} was measured; it needs one of {names}"
        )


def _odd_units(frame: pd.DataFrame, spec: Spec, hardware: HardwareTable) -> Iterator[Violation]:
    """Stages that most rows of a GPU have far faster or slower than data sheets allow."""
    for name in frame["gpu"].dropna().unique():
        gpu = hardware.find(str(name))
        rows = (frame["gpu"] == name).to_numpy()
        if gpu is None:
            continue
        for stage, part in spec.stages.items():
            if part.column in frame:
                held = rows & np.isfinite(_to_numbers(frame[part.column]))
                yield from _odd_stage(frame, held, spec, stage, gpu)


def _odd_stage(
    frame: pd.DataFrame, rows: np.ndarray[Any, Any], spec: Spec, stage: str, gpu: Gpu
) -> Iterator[Violation]:
    if not rows.any():
        return
    column = spec.stages[stage].column
    inputs = stage_inputs(spec, stage, frame[rows], gpu)
    peak_ms = np.exp(physics_ms(inputs.terms_ms, np.zeros(inputs.terms_ms.shape[1]))[0])
    ratio = _to_numbers(frame[column])[rows] / peak_ms
    for off, what, cure in (
        (ratio < _FASTEST, "faster than its data sheet allows", "seconds, not ms"),
        (ratio > _SLOWEST, "hundreds of times slower than its data sheet", "microseconds"),
    ):
        if off.mean() > _ALL_OFF:
            where = np.zeros(len(frame), dtype=bool)
            where[np.flatnonzero(rows)[off]] = True
            yield from violations_at(
                frame,
                where,
                column,
                f"{gpu.key} is {what} in {off.mean():.0%} of its rows (median "
                f"{np.median(ratio):.2g} times the physics of stage {stage!r}); is the column in "
                f"{cure}? Give milliseconds, and check the GPU's name",
            )


def _everywhere(frame: pd.DataFrame, column: str | None, message: str) -> Iterable[Violation]:
    """A violation of the columns, not of rows: it cannot be dropped."""
    files = (frame.attrs.get("bayeslat") or {}).get("sources") or [[TABLE, 0, 0]]
    return [Violation(str(source[0]), (), column, message) for source in files]


def _to_numbers(column: pd.Series[Any]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Values as floats; what is not a number becomes NaN."""
    return pd.to_numeric(column, errors="coerce").to_numpy(dtype=float, na_value=np.nan)
