"""What an importer is: a format's name, what its times mean, and a function that reads a file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bayeslat.traces.importers.copies import without_copies
from bayeslat.traces.importers.vocabulary import Column

__all__ = ["Batch", "Importer", "Read", "ReadSeries", "Series", "Tally", "each_alone"]


@dataclass(frozen=True, slots=True)
class Batch:
    """Some rows of a file, few enough to hold in memory.

    Attributes
    ----------
    n_rows : int
    columns : mapping of str to cells, each of shape (row,), or one cell that holds for all rows
        Those that the importer declares, and of them only what the file knows. Latencies that are
        not finite and above 0 need no care: they are left empty and counted.
    section : str
        The part of the file that the rows are of, where it has several, each with its own load.
    start_s, end_s : ndarray of float, shape (row,), optional
        When each request was sent and when it ended, s, by any clock of the section: the load that
        each request met is counted from them.
    refused : sequence of str or None, shape (row,), optional
        Why a row cannot be used; None where it can. Its times still count as load.
    """

    n_rows: int
    columns: Mapping[str, Any]
    section: str = ""
    start_s: NDArray[np.float64] | None = None
    end_s: NDArray[np.float64] | None = None
    refused: Sequence[str | None] | None = None


@dataclass(slots=True)
class Tally:
    """What an importer could not use and has no row for, counted while it reads.

    Attributes
    ----------
    refused : Counter of str
        How often each reason was met.
    notes : dict of str to None
        What the user should know of the files, each told once, in order.
    given : mapping of str to int, float or str
        Columns that the user set for all rows: a reconstruction may need the server's limits.
    software : dict of str to str
        Versions that the files name.
    collected_at : str or None
        When the first file says that it was measured, ISO 8601.
    """

    refused: Counter[str] = field(default_factory=Counter)
    notes: dict[str, None] = field(default_factory=dict)
    given: Mapping[str, int | float | str] = field(default_factory=dict)
    software: dict[str, str] = field(default_factory=dict)
    collected_at: str | None = None

    def refuse(self, reason: str, count: int = 1) -> None:
        """Count something that is no row, for a reason such as `line is no JSON`."""
        if count:
            self.refused[reason] += count

    def note(self, text: str) -> None:
        """Remember a sentence about the files."""
        self.notes[text] = None


type Read = Callable[[Path, Tally], Iterator[Batch]]
"""Reads one file in batches.

Raises a TraceError (`formats.content.refuse`) if the whole file cannot be used: it is of another
format or version, cut short where no row can be told, holds aggregates only, or times in another
unit.
"""


type ReadSeries = Callable[[Sequence[Path], Tally], Iterator[Batch]]
"""Reads several files that go on from one another, as `Read` does one."""

type Series = Callable[[Sequence[Path]], list[tuple[Path, ...]]]
"""Puts files in an order in which they go on from one another, without those that say again what
others say."""


def each_alone(files: Sequence[Path]) -> list[tuple[Path, ...]]:
    """Return files of which each is of itself, copies once."""
    return [(file,) for file in without_copies(files)]


@dataclass(frozen=True, slots=True)
class Importer:
    """A format that can be imported.

    Attributes
    ----------
    name : str
        As the command line takes it.
    title : str
        What writes such files, and with which options.
    patterns : tuple of str
        Names of such files, with wildcards: what is read of a folder.
    columns : tuple of Column
        What it may fill. `gpu`, `stack`, `model`, `run` and the load from start and end times are
        added for all.
    definitions : mapping of str to str
        For each latency column: what the time starts at and ends at, and by whose clock.
    read : Read
    names_gpu : bool
        Whether the files say which GPU they were measured on, in a column `gpu`.
    series : Series
        Which files are read together.
    read_series : ReadSeries, optional
        Where files go on from one another.
    """

    name: str
    title: str
    patterns: tuple[str, ...]
    columns: tuple[Column, ...]
    definitions: Mapping[str, str]
    read: Read
    names_gpu: bool = False
    series: Series = each_alone
    read_series: ReadSeries | None = None

    def __post_init__(self) -> None:
        """Check that every latency has a definition."""
        latencies = {column.name for column in self.columns if column.is_latency}
        if latencies != set(self.definitions):
            wrong = latencies ^ set(self.definitions)
            raise ValueError(f"importer {self.name}: define exactly its latencies, not {wrong}")

    def batches(self, files: Sequence[Path], tally: Tally) -> Iterator[Batch]:
        """Read the files of a series.

        Parameters
        ----------
        files : sequence of Path
            As `series` puts them together.
        tally : Tally
        """
        if self.read_series is not None:
            return self.read_series(files, tally)
        (file,) = files
        return self.read(file, tally)
