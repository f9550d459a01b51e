"""The trace that collections add to, and are taken up again from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import JsonValue

from bayeslat.collect.collection import OUT_OF_MEMORY, Row
from bayeslat.collect.drift import reference_drift
from bayeslat.collect.knobs import Knobs
from bayeslat.collect.telemetry import summarise_telemetry
from bayeslat.errors import InputError
from bayeslat.traces import Provenance, provenances, read_traces, write_traces
from bayeslat.traces.names import MEASURED
from bayeslat.traces.provenance import sidecar_path

__all__ = ["TraceFile"]

_NUMBERS = [knob.name for knob in fields(Knobs) if knob.name not in {"dtype", "task"}]
_NEEDED = (*_NUMBERS, "dtype", "config_id", "repeat", "reference", "outcome")
_SHOWN = 3
# What the machine may change between two runs without being another device.
_INCIDENTAL = {
    ("gpu", name)
    for name in ("platform", "memory_total_MiB", "host", "compute_mode", "persistence_mode")
}


class TraceFile:
    """A trace on disk that grows row by row, and is whole after each.

    Parameters
    ----------
    path : Path
        The file; its rows are kept if it exists.
    gpu : str
        Key of the device.
    provenance : Provenance
        Where the rows come from, with the run that starts now.

    Raises
    ------
    InputError
        If the file holds rows of another device, model or software, or was not collected.
    TraceError
        If the file cannot be read, or breaks the rules of the trace table.
    """

    def __init__(self, path: Path, gpu: str, provenance: Provenance) -> None:
        self.path = path
        self.gpu = gpu
        self.provenance = provenance
        self.rows: list[Row] = []
        self._state = _state(path)
        if self._state is not None:
            frame = read_traces(path)
            old = provenances(frame)[0]
            if old is None:
                raise InputError(
                    f"{path}: does not tell where its rows come from (CSV and JSON Lines: in "
                    f"{sidecar_path(path).name}), so nothing is added to it; name another file"
                )
            _check_same_origin(path, old, provenance)
            _check_rows(path, frame, gpu)
            self.provenance = _continued(old, provenance)
            self.rows = [
                {str(name): value for name, value in row.items()}
                for row in frame.to_dict(orient="records")
            ]
        self._ids: dict[Knobs, int] = {}
        for row in self.rows:
            self._ids.setdefault(_knobs_of(row), int(row["config_id"]))

    @property
    def frame(self) -> pd.DataFrame:
        """The rows."""
        return pd.DataFrame(self.rows)

    @property
    def reference(self) -> Knobs | None:
        """The configuration that was measured again and again, if there is one."""
        return next((_knobs_of(row) for row in self.rows if row["reference"]), None)

    def config_ids(self, design: Sequence[Knobs]) -> tuple[int, ...]:
        """Return the config_id of each configuration, dim (config,); new ones get new ones."""
        new = max(self._ids.values(), default=-1) + 1
        for knobs in design:
            if self._ids.setdefault(knobs, new) == new:
                new += 1
        return tuple(self._ids[knobs] for knobs in design)

    def done(self, repeats: int) -> frozenset[tuple[int, int]]:
        """Return what need not be measured again, as (config_id, repeat).

        Parameters
        ----------
        repeats : int
            Wanted of each configuration; one that ran out of memory has them all.
        """
        counts: Counter[int] = Counter()
        for row in self.rows:
            if row["outcome"] == OUT_OF_MEMORY:
                counts[int(row["config_id"])] += repeats
            elif not row["reference"]:
                counts[int(row["config_id"])] += 1
        return frozenset((config, n) for config, count in counts.items() for n in range(count))

    def left(self, design: Sequence[Knobs], repeats: int) -> int:
        """Return how many measurements of a design are still to be made."""
        done = self.done(repeats)
        return sum(
            (config, repeat) not in done
            for config in self.config_ids(design)
            for repeat in range(repeats)
        )

    def append(self, row: Row, repeats: int) -> None:
        """Add a row; the file is replaced in one step.

        Parameters
        ----------
        row : dict
            A row, its `repeat` None for the reference. One whose number is taken, or that has
            none, gets the next number that no repeat of the design has or will have.
        repeats : int
            Repeats of the design.

        Raises
        ------
        InputError
            If another process has written the file since: its rows are not overwritten.
        """
        taken = {int(r["repeat"]) for r in self.rows if r["config_id"] == row["config_id"]}
        if row["repeat"] is None or row["repeat"] in taken:
            row = {**row, "repeat": max(repeats - 1, *taken, -1) + 1}
        rows = [*self.rows, {"gpu": self.gpu, **row}]
        frame = pd.DataFrame(rows)
        if _state(self.path) not in {None, self._state}:
            raise InputError(
                f"{self.path}: another process has written it since this one read it; its rows "
                "stay. Let one collection end before the next adds to its file"
            )
        write_traces(frame, self.path, self._told(frame), grown=True)
        self.rows, self._state = rows, _state(self.path)

    def _told(self, frame: pd.DataFrame) -> Provenance:
        """Return the provenance with what the rows say about the device."""
        drift = reference_drift(frame)
        told: dict[str, JsonValue] = {
            "telemetry": summarise_telemetry(frame),
            "reference_drift": None if drift is None else drift.record(),
        }
        return Provenance.model_validate({**self.provenance.model_dump(by_alias=True), **told})


def _state(path: Path) -> tuple[int, int] | None:
    """Return what changes whenever a file is written; None where there is no file."""
    try:
        state = path.stat()
    except FileNotFoundError:
        return None
    return state.st_ino, state.st_mtime_ns


def _knobs_of(row: Row) -> Knobs:
    """Return the configuration of a row."""
    whole = {name: int(row[name]) for name in _NUMBERS}
    task = row.get("task")
    return Knobs(**whole, dtype=row["dtype"], task=task if isinstance(task, str) else None)


def _continued(old: Provenance, new: Provenance) -> Provenance:
    """Return the provenance of a file with one run more."""
    before, now = old.model_dump(by_alias=True), new.model_dump(by_alias=True)
    runs = [*(before.get("runs") or []), *(now.get("runs") or [])]
    return Provenance.model_validate({**before, "runs": runs})


def _check_same_origin(path: Path, old: Provenance, new: Provenance) -> None:
    """Refuse to mix rows that were measured in different circumstances."""
    before, now = _circumstances(old), _circumstances(new)
    differing = [
        f"{name}: {before.get(name)!r}, now {now.get(name)!r}"
        for name in dict.fromkeys([*before, *now])
        if before.get(name) != now.get(name)
    ]
    if differing:
        more = [f"and {len(differing) - _SHOWN} more"] if len(differing) > _SHOWN else []
        raise InputError(
            f"{path}: its rows were measured in other circumstances "
            f"({'; '.join([*differing[:_SHOWN], *more])}); one trace holds rows of one device, "
            "model and software: name another file"
        )


def _circumstances(origin: Provenance) -> dict[str, Any]:
    """Return what must be the same for all rows of a trace, by dotted name."""
    told = origin.model_dump()
    found = {"source": origin.source}
    for part in ("gpu", "architecture", "software", "parameters"):
        entries = told.get(part)
        for name, value in (entries if isinstance(entries, dict) else {}).items():
            if (part, name) not in _INCIDENTAL:
                found[f"{part}.{name}"] = value
    return found


def _check_rows(path: Path, frame: pd.DataFrame, gpu: str) -> None:
    """Refuse rows that no collection of this device has written."""
    lacking = [name for name in _NEEDED if name not in frame]
    if lacking:
        raise InputError(
            f"{path}: has no column {', '.join(lacking)}, so `collect` has not written it; "
            "name another file"
        )
    others = sorted(set(frame["gpu"]) - {gpu})
    if others:
        raise InputError(
            f"{path}: holds rows of {', '.join(map(repr, others))}, not of {gpu!r}; "
            "name another file"
        )
    unknown = sorted(set(frame["outcome"]) - {MEASURED, OUT_OF_MEMORY})
    if unknown:
        raise InputError(f"{path}: outcome {unknown[0]!r} is not known; name another file")
