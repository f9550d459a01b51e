"""The trace that a collection writes and takes up again."""

from __future__ import annotations

import platform
from collections.abc import Iterable
from dataclasses import asdict, fields
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import pandas as pd

from bayeslat.collect.backend import load_torch, load_transformers
from bayeslat.collect.collection import Plan, Row
from bayeslat.collect.knobs import Knobs
from bayeslat.collect.limits import read_config
from bayeslat.collect.machine import cpu_identity
from bayeslat.collect.model import KERNELS
from bayeslat.errors import InputError
from bayeslat.traces import Provenance, provenances, read_traces, write_traces

__all__ = ["TraceFile", "describe"]

_KNOBS = [knob.name for knob in fields(Knobs)]


def describe(plan: Plan) -> Provenance:
    """Return the provenance of the rows that a plan gives on this machine."""
    return Provenance(
        source="measured",
        collected_at=f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        tool="bayeslat.collect.vlm",
        gpu={**cpu_identity(), "threads": plan.threads, "dtype": plan.dtype},
        architecture=read_config(plan.config_path),
        software={
            "python": platform.python_version(),
            "torch": str(load_torch().__version__),
            "transformers": str(load_transformers().__version__),
            "numpy": metadata.version("numpy"),
        },
        parameters={
            "seed": plan.seed,
            "crop_pixels": plan.crop_pixels,
            "weights": "random",
            "warm_up_passes": 1,
            **KERNELS,
        },
    )


class TraceFile:
    """A trace on disk that grows row by row, and is whole after each.

    Parameters
    ----------
    path : Path
        The file; its rows are kept if it exists.
    plan : Plan
        The plan whose rows it takes.
    provenance : Provenance
        Where the rows come from.

    Raises
    ------
    InputError
        If the file holds rows of another device, software, seed or design.
    TraceError
        If the file cannot be read, or breaks the rules of the trace table.
    """

    def __init__(self, path: Path, plan: Plan, provenance: Provenance) -> None:
        self.path = path
        self.provenance = provenance
        self.rows: list[Row] = []
        if path.exists():
            frame = read_traces(path)
            _check_same_origin(path, provenances(frame)[0], provenance)
            self.rows = [
                {str(name): value for name, value in row.items()}
                for row in frame.to_dict(orient="records")
            ]
            _check_same_design(path, self.rows, plan)

    @property
    def done(self) -> frozenset[tuple[int, int]]:
        """Measurements that the file holds, as (config_id, repeat)."""
        return frozenset((int(row["config_id"]), int(row["repeat"])) for row in self.rows)

    def append(self, row: Row) -> None:
        """Add a row; the file is replaced in one step."""
        self.rows.append(row)
        write_traces(pd.DataFrame(self.rows), self.path, self.provenance)


def _check_same_origin(path: Path, old: Provenance | None, new: Provenance) -> None:
    """Refuse to mix rows that were measured in different circumstances."""
    before: dict[str, Any] = {} if old is None else old.model_dump()
    now = new.model_dump()
    parts = ("source", "gpu", "architecture", "software", "parameters")
    differing = [part for part in parts if before.get(part) != now[part]]
    if differing:
        raise InputError(
            f"{path}: its rows were measured with another {_listed(differing)}; one trace holds "
            "one collection: name another file, or remove this one"
        )


def _check_same_design(path: Path, rows: list[Row], plan: Plan) -> None:
    """Refuse to mix configurations of different designs under one config_id."""
    for row in rows:
        config_id = int(row["config_id"])
        if row["gpu"] != plan.device_key:
            raise InputError(
                f"{path}: holds rows of {row['gpu']!r}, not of {plan.device_key!r}; "
                "name another file, or remove this one"
            )
        planned = asdict(plan.design[config_id]) if config_id < len(plan.design) else None
        if planned is not None and planned != {name: row[name] for name in _KNOBS}:
            raise InputError(
                f"{path}: config {config_id} has other knobs than the design; name another file, "
                "remove this one, or give the seed and ranges it was collected with"
            )


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)
