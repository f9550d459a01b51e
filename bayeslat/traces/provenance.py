"""Where a trace comes from: kept in the file, so that results can be traced back to it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, field_validator

from bayeslat.traces.violations import TABLE, files_of, locate

__all__ = [
    "Provenance",
    "parse_provenance",
    "provenances",
    "row_sources",
    "sidecar_path",
    "trace_files",
]

UNKNOWN = "unknown"


class Provenance(BaseModel):
    """How the rows of a trace came about.

    Fields of other tools are kept. A file without provenance is fine; one whose provenance cannot
    be read is not.

    Attributes
    ----------
    schema_version : str
        The version of these fields, `schema` in JSON.
    source : {"measured", "composed", "simulated"}
        Timed as a whole, put together from timings of parts, or drawn from known parameters.
    collected_at : str or None
        When, in ISO 8601 with the time zone.
    tool : str or None
        What wrote the trace, with its version.
    gpu : JSON value
        The GPU's identity as its driver reports it.
    architecture : JSON value
        The architecture constants of the measured model.
    software : dict of str to str
        The version of each package that matters.
    parameters : dict or None
        The seed, and the true parameters of a simulation.
    """

    model_config = ConfigDict(
        frozen=True, extra="allow", validate_by_name=True, validate_by_alias=True
    )

    schema_version: Literal["1"] = Field(default="1", alias="schema")
    source: Literal["measured", "composed", "simulated"]
    collected_at: str | None = None
    tool: str | None = None
    gpu: JsonValue = None
    architecture: JsonValue = None
    software: dict[str, str] = Field(default_factory=dict)
    parameters: dict[str, JsonValue] | None = None

    @field_validator("schema_version", mode="before")
    @classmethod
    def _version_as_text(cls, version: object) -> object:
        """Accept a version written as a number."""
        return str(version) if type(version) is int else version

    def to_json(self) -> bytes:
        """Return the provenance as it is stored in files."""
        return self.model_dump_json(by_alias=True).encode()


def parse_provenance(text: bytes) -> Provenance:
    """Read the provenance of a file.

    Parameters
    ----------
    text : bytes
        JSON.

    Returns
    -------
    Provenance

    Raises
    ------
    ValueError
        The text is not JSON, or a field breaks a rule; the message names each.
    """
    try:
        return Provenance.model_validate_json(text)
    except ValidationError as error:
        problems = [
            f"{'.'.join(map(str, item['loc'])) or 'provenance'}: {item['msg']}"
            for item in error.errors(include_url=False)
        ]
        raise ValueError("; ".join(problems)) from error


def provenances(frame: pd.DataFrame) -> tuple[Provenance | None, ...]:
    """Return the provenance of each file that a trace was read from; None where it has none."""
    stored = frame.attrs.get("bayeslat", {}).get("provenance", [])
    return tuple(None if item is None else Provenance.model_validate(item) for item in stored)


def trace_files(frame: pd.DataFrame) -> tuple[tuple[str, int, Provenance | None], ...]:
    """Return the name, number of rows and provenance of each file that a trace was read from."""
    sources = frame.attrs.get("bayeslat", {}).get("sources", [])
    return tuple(
        (str(source[0]), int(source[2]), provenance)
        for source, provenance in zip(sources, provenances(frame), strict=True)
    )


def row_sources(frame: pd.DataFrame) -> tuple[str, ...]:
    """Return what kinds of files the rows of a frame are from.

    Parameters
    ----------
    frame : DataFrame
        A trace, or some of its rows.

    Returns
    -------
    tuple of str
        Of `measured`, `composed` and `simulated`, and `unknown` for files without provenance;
        sorted. Where rows cannot be told to be of a file, every kind that the frame knows.
    """
    stated = [each.source if each else UNKNOWN for each in provenances(frame)]
    kinds = dict(zip(files_of(frame), stated, strict=False))
    location = locate(frame)
    held = {location.files[index] for index in np.unique(location.file_index)}
    if TABLE in held:
        return tuple(sorted(set(stated))) or (UNKNOWN,)
    return tuple(sorted({kinds.get(file, UNKNOWN) for file in held}))


def sidecar_path(path: Path) -> Path:
    """Return the file beside a CSV or JSON Lines file that holds its provenance."""
    return path.with_name(f"{path.name}.meta.json")
