"""Which rows of a trace, or of a table of configs, a spec and a hardware table can take."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayeslat.errors import HardwareError, TraceError
from bayeslat.features.config_rules import RowsOfGpu, config_violations
from bayeslat.features.hardware import Gpu, HardwareTable, explain_missing, missing_fields
from bayeslat.features.knob_values import read_knobs
from bayeslat.features.misnamed import misnamed_stages, nearest_column, unused_columns
from bayeslat.features.spec import Spec
from bayeslat.features.unit_rules import unit_violations
from bayeslat.traces import Violation, check_frame, report, violations_at
from bayeslat.traces.cells import blank, plain
from bayeslat.traces.names import GPU, latency_columns
from bayeslat.traces.violations import violations_everywhere

__all__ = ["admit", "admit_configs", "find_violations", "resolve_gpus"]


def admit(
    frame: pd.DataFrame,
    spec: Spec,
    hardware: HardwareTable,
    software: str | None = None,
    *,
    every_stage: bool = False,
) -> pd.DataFrame:
    """Check a trace against its spec and hardware, and give the GPUs their keys.

    Parameters
    ----------
    frame : DataFrame, one row a measurement
    spec : Spec
    hardware : HardwareTable
    software : str, optional
        As `Spec.complete` takes it.
    every_stage : bool
        Whether each stage must have its column, as a fit needs it.

    Returns
    -------
    DataFrame
        A copy with canonical keys in `gpu`, completed as by `Spec.complete`.

    Raises
    ------
    TraceError
        With every violation at once.
    """
    frame = spec.complete(frame, software)
    absent = _absent_stages(frame, spec) if every_stage else ()
    _refuse([*find_violations(frame, spec, hardware), *absent])
    return resolve_gpus(frame, hardware)


def admit_configs(
    frame: pd.DataFrame, spec: Spec, gpus: Sequence[Gpu], software: str | None = None
) -> pd.DataFrame:
    """Check configurations that are to be predicted or simulated.

    Parameters
    ----------
    frame : DataFrame, one row a config
    spec : Spec
    gpus : sequence of Gpu
        Those that every row is meant for, whatever a column `gpu` says.
    software : str, optional
        As `Spec.complete` takes it.

    Returns
    -------
    DataFrame
        The frame, completed as by `Spec.complete`.

    Raises
    ------
    HardwareError
        If a GPU has no value of a hardware field that the spec needs.
    TraceError
        With every violation at once.
    """
    for gpu in gpus:
        if missing := missing_fields(gpu, spec.hardware_fields):
            raise HardwareError(explain_missing(gpu, missing))
    frame = spec.complete(frame, software)
    found = check_frame(frame, need_stages=False, need_gpu=False, knobs=spec.knobs)
    if _readable(frame):
        every = np.ones(len(frame), dtype=bool)
        rows = [(gpu.fields(), every) for gpu in gpus]
        found += config_violations(frame, read_knobs(frame, spec), rows)
    _refuse(found)
    return frame


def resolve_gpus(frame: pd.DataFrame, hardware: HardwareTable) -> pd.DataFrame:
    """Return a copy whose `gpu` holds keys of the hardware table in place of aliases.

    Names that the table lacks stay as they are.
    """
    names = plain(frame[GPU])
    found = {name: hardware.find(name) for name in names.unique() if isinstance(name, str)}
    keys = {name: gpu.key for name, gpu in found.items() if gpu is not None}
    return frame.assign(gpu=[keys.get(name, name) for name in names])


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
    columns = spec.latency_columns
    frame = spec.complete(frame)
    if _readable(frame) and GPU in frame:
        frame = resolve_gpus(frame, hardware)  # one GPU under two names is one GPU
    found = check_frame(frame, latencies=columns, knobs=spec.knobs)
    if not _readable(frame):
        return found
    knobs, rows = read_knobs(frame, spec), _rows_of_gpus(frame, hardware)
    unknown = ~np.any([np.zeros(len(frame), dtype=bool), *rows.values()], axis=0)
    given: list[RowsOfGpu] = [(gpu.fields(), held) for gpu, held in rows.items()]
    return (
        *found,
        *_unknown_gpus(frame, hardware),
        *_lacking_fields(frame, spec, rows),
        *_unmeasured(frame, spec),
        *config_violations(frame, knobs, [*given, ({}, unknown)]),
        *(each for gpu, held in rows.items() for each in unit_violations(frame, knobs, gpu, held)),
    )


def _refuse(violations: Sequence[Violation]) -> None:
    if violations:
        raise TraceError(report(violations), tuple(violations))


def _readable(frame: pd.DataFrame) -> bool:
    """Tell whether there are rows, with columns that can be told apart."""
    return frame.columns.is_unique and not frame.empty


def _rows_of_gpus(frame: pd.DataFrame, hardware: HardwareTable) -> Mapping[Gpu, NDArray[np.bool_]]:
    """Return the rows of each GPU of the table. Shapes (row,)."""
    if GPU not in frame:
        return {}
    names = [name for name in frame[GPU].unique() if isinstance(name, str)]
    found = {name: hardware.find(name) for name in names}
    return {
        gpu: (frame[GPU] == name).to_numpy(dtype=bool, na_value=False)
        for name, gpu in found.items()
        if gpu is not None
    }


def _unknown_gpus(frame: pd.DataFrame, hardware: HardwareTable) -> Iterator[Violation]:
    if GPU not in frame:
        return
    for name in frame.loc[~blank(frame[GPU]), GPU].unique():
        if isinstance(name, str) and hardware.find(name) is None:
            nearest = ", ".join(hardware.nearest(name))
            yield from violations_at(
                frame,
                (frame[GPU] == name).to_numpy(dtype=bool, na_value=False),
                GPU,
                f"GPU {name!r} is not in the hardware table; nearest: {nearest}. "
                "Correct the name, or pass --hardware FILE, with a table [gpus.KEY] of this GPU: "
                "mem_bw_GBps, boost_GHz, l2_MB and a peak such as bf16_tflops",
            )


def _lacking_fields(
    frame: pd.DataFrame, spec: Spec, rows: Mapping[Gpu, NDArray[np.bool_]]
) -> Iterator[Violation]:
    """GPUs whose data sheet lacks a value that the spec names."""
    for gpu, held in rows.items():
        if missing := missing_fields(gpu, spec.hardware_fields):
            yield from violations_at(frame, held, GPU, explain_missing(gpu, missing), show=False)


def _absent_stages(frame: pd.DataFrame, spec: Spec) -> Iterator[Violation]:
    """Stages without a column; where none has one, `_unmeasured` and the trace table speak."""
    absent = {name: stage.column for name, stage in spec.stages.items()}
    absent = {name: column for name, column in absent.items() if column not in frame}
    if frame.empty or len(absent) == len(spec.stages):
        return
    unused = unused_columns(frame, spec)
    for name, column in absent.items():
        near = nearest_column(column, unused)
        yield from violations_everywhere(
            frame,
            None,
            f"stage {name!r}: the traces have no column {column!r}"
            + (f"; nearest: {near!r}" if near else "")
            + ". Measure the stage, name its column by `column` in the spec, or leave it out "
            "(`--stages` of the commands, `only` of a spec)",
        )


def _unmeasured(frame: pd.DataFrame, spec: Spec) -> Iterator[Violation]:
    """A trace of other stages; without any latency, the trace table's own rule speaks."""
    columns = spec.latency_columns
    if latency_columns(frame) and not any(column in frame for column in columns):
        cures = [f"rename {old!r} to {new!r}" for old, new in misnamed_stages(frame, spec).items()]
        yield from violations_everywhere(
            frame,
            None,
            f"no stage of spec {spec.name!r} was measured; it needs one of {', '.join(columns)}"
            + (f" ({', '.join(cures)}, if that is meant)" if cures else ""),
        )
