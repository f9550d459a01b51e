"""Rows that commands read, and what they tell of those that they leave out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bayeslat.cli_input import measured_gpus
from bayeslat.cli_output import ensure_no_input, is_read
from bayeslat.cli_run import note, writing
from bayeslat.counted import counted
from bayeslat.errors import TraceError

if TYPE_CHECKING:
    import pandas as pd

    from bayeslat.features.hardware import HardwareTable
    from bayeslat.features.spec import Spec

__all__ = [
    "Dropped",
    "note_absent_gpu",
    "note_misnamed_stages",
    "note_unknown_gpus",
    "note_unread_times",
    "read_measurements",
    "read_rows",
    "read_valid",
]


@dataclass(frozen=True)
class Dropped:
    """Rows that were set aside.

    Attributes
    ----------
    rows : int
    path : Path or None
        The file that holds them; None where they are told and not kept.
    """

    rows: int
    path: Path | None

    def record(self) -> dict[str, Any]:
        """Put it into numbers, for JSON."""
        return {"rows": self.rows, "file": None if self.path is None else str(self.path)}


def note_unknown_gpus(frame: pd.DataFrame, hardware: HardwareTable) -> None:
    """Tell which rows name a GPU that the hardware table lacks, where one GPU's rows are taken."""
    if "gpu" not in frame:
        return
    for name, rows in frame["gpu"].dropna().astype(str).value_counts().items():
        if hardware.find(str(name)) is None:
            nearest = ", ".join(hardware.nearest(str(name)))
            note(
                f"left out: {rows:,} of {counted(len(frame), 'row')}: GPU {name!r} is not in the "
                f"hardware table; nearest: {nearest}"
            )


def note_absent_gpu(frame: pd.DataFrame, gpu: str, hardware: HardwareTable) -> None:
    """Tell that a GPU has no rows, where they are what is asked about.

    Parameters
    ----------
    frame : DataFrame, one row a measurement
    gpu : str
        Key.
    hardware : HardwareTable
    """
    measured = measured_gpus(frame, hardware)
    if gpu not in measured:
        held = ", ".join(measured) or "none"
        note(f"no row of {gpu}: the traces hold {held}; name one of those, or add traces of {gpu}")


def note_misnamed_stages(frame: pd.DataFrame, spec: Spec) -> None:
    """Tell which latency columns are passed over, though the spec probably means them."""
    from bayeslat.features.misnamed import misnamed_stages

    for name, meant in misnamed_stages(frame, spec).items():
        unit = "" if name.endswith("_ms") else ", in ms"
        note(
            f"left out: column {name!r}, which is no stage of spec {spec.name!r}; rename it to "
            f"{meant!r}{unit}, if that is meant"
        )


def note_unread_times(frame: pd.DataFrame) -> None:
    """Tell which rows keep passes from being told by time, where a GPU's stack has any times.

    Parameters
    ----------
    frame : DataFrame, one row a measurement
        Checked: each column has a name of its own.
    """
    from bayeslat.traces.cells import blank
    from bayeslat.traces.names import COLLECTED_AT, GPU, STACK
    from bayeslat.traces.times import tell_times

    if COLLECTED_AT not in frame or frame.empty:
        return
    groups = frame[[name for name in (GPU, STACK) if name in frame]].astype(str)
    told = groups.assign(told=~blank(frame[COLLECTED_AT])).groupby(list(groups), dropna=False)
    has_times = told["told"].transform("any").to_numpy(dtype=bool)
    if problem := tell_times(frame[has_times]):
        note(problem)


def read_measurements(sources: Sequence[str]) -> pd.DataFrame:
    """Read traces that may be left out; ones that are given have rows.

    Parameters
    ----------
    sources : sequence of str
        None for no rows.

    Returns
    -------
    DataFrame, one row a measurement
        Its rows are not checked.

    Raises
    ------
    TraceError
        If a source is no table, or none has rows.
    """
    import pandas as pd

    from bayeslat.traces import check_frame, read_traces, report

    if not sources:
        return pd.DataFrame()
    frame = read_traces(*sources, check=False)
    if frame.empty:
        violations = check_frame(frame)
        raise TraceError(report(violations), violations)
    return frame


def read_rows(
    sources: Sequence[str],
    spec: Spec,
    hardware: HardwareTable,
    output: Path | None,
    *,
    drop_invalid: bool,
) -> tuple[pd.DataFrame, Dropped | None]:
    """Read traces as they are, or without the rows that break a rule, as `read_valid` does.

    Latency columns that are passed over are told.

    Returns
    -------
    rows : DataFrame, one row a measurement
        Not checked, if all are kept: who takes them tells all that is wrong at once.
    dropped : Dropped or None
    """
    from bayeslat.traces import read_traces

    frame, dropped = (
        read_valid(sources, spec, hardware, output)
        if drop_invalid
        else (read_traces(*sources, check=False), None)
    )
    note_misnamed_stages(frame, spec)
    return frame, dropped


def read_valid(
    sources: Sequence[str], spec: Spec, hardware: HardwareTable, output: Path | None
) -> tuple[pd.DataFrame, Dropped | None]:
    """Read traces, and set the rows aside that break a rule: in a file beside the output.

    Where none does, those that an earlier run left out of this output are removed.

    Parameters
    ----------
    sources : sequence of str
    spec : Spec
    hardware : HardwareTable
    output : Path or None
        None where nothing is written: the rows are told alone.

    Returns
    -------
    kept : DataFrame, one row a measurement
    dropped : Dropped or None
        None if every row keeps every rule.

    Raises
    ------
    TraceError
        If a column breaks a rule, which dropping rows cannot cure, or no row is left.
    """
    from bayeslat.features.admit import find_violations
    from bayeslat.traces import drop_invalid, read_traces, report
    from bayeslat.traces.set_aside import set_aside
    from bayeslat.traces.sources import set_aside_path

    frame = read_traces(*sources, check=False)
    violations = find_violations(frame, spec, hardware)
    kept, broken = drop_invalid(frame, violations)
    if not len(broken):
        if output is not None:
            _remove_set_aside(output, sources)
        return kept, None
    path = None if output is None else set_aside_path(output)
    if output is not None and path is not None:
        ensure_no_input(path, *sources)
        with writing(path):
            set_aside(broken, path, output)
    rows = counted(len(frame), "row")
    where = "" if path is None else f"; see {path}"
    note(f"left out for breaking a rule: {len(broken):,} of {rows}{where}")
    note(report(violations))
    return kept, Dropped(len(broken), path)


def _remove_set_aside(output: Path, sources: Sequence[str]) -> None:
    """Remove the rows that an earlier run left out of an output, unless they are read now."""
    from bayeslat.traces.set_aside import is_set_aside
    from bayeslat.traces.sources import set_aside_path

    path = set_aside_path(output)
    if is_set_aside(path, output) and not any(is_read(path, source) for source in sources):
        with writing(path):
            path.unlink()
        note(f"removed: {path}, the rows that an earlier run left out; this one leaves out none")
