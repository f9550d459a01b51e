"""From files of a format to a trace, with little of either in memory."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from bayeslat.counted import counted
from bayeslat.errors import InputError, TraceError
from bayeslat.traces.importers.assemble import Assembly
from bayeslat.traces.importers.clean import Cleaner
from bayeslat.traces.importers.even import even_batches
from bayeslat.traces.importers.find import find_importable
from bayeslat.traces.importers.groups import settle_groups
from bayeslat.traces.importers.importer import Importer, Tally
from bayeslat.traces.importers.settings import Settings
from bayeslat.traces.importers.staging import Stage
from bayeslat.traces.importers.survey import GROUPS, survey_rows
from bayeslat.traces.names import is_stage_column
from bayeslat.traces.provenance import Provenance
from bayeslat.traces.violations import report
from bayeslat.traces.write import check_table_path, write_batches

__all__ = ["Imported", "Settings", "import_traces"]


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of the files.

    Attributes
    ----------
    importer : Importer
    files : tuple of Path
    n_rows : int
        Rows of the trace.
    filled : mapping of str to int
        For each column of the trace, in its order: the rows that have a cell.
    latencies_ms : mapping of str to ndarray of float, shape (measured row,)
        The values of each latency column.
    groups : mapping of {"gpu", "stack", "model"} to tuple of str
        What the rows belong to.
    refused : mapping of str to int
        Rows, or lines that are no rows, that were left out, by reason.
    emptied : mapping of str to int
        Latencies that were left empty because they are not finite and above 0, by column.
    notes : tuple of str
        What the user should know of the files.
    overruled_gpu : str or None
        The GPU that the files name, where the user names one.
    """

    importer: Importer
    files: tuple[Path, ...]
    n_rows: int
    filled: Mapping[str, int]
    latencies_ms: Mapping[str, NDArray[np.float32]]
    groups: Mapping[str, tuple[str, ...]]
    refused: Mapping[str, int]
    emptied: Mapping[str, int]
    notes: tuple[str, ...]
    overruled_gpu: str | None


def import_traces(
    importer: Importer,
    sources: Sequence[str | Path],
    output: str | Path,
    settings: Settings | None = None,
    *,
    on_rows: Callable[[int], None] | None = None,
) -> Imported:
    """Convert files into a trace.

    Rows are kept on disk between reading and writing, beside the output: what each request met is
    known only when all of them are.

    Parameters
    ----------
    importer : Importer
    sources : sequence of str or Path
        Files, folders, globs.
    output : str or Path
        The trace; written whole or not at all.
    settings : Settings, optional
    on_rows : callable, optional
        Is told the number of rows read so far.

    Returns
    -------
    Imported

    Raises
    ------
    TraceError
        With every file that cannot be used; or when no row can, or rows are of several models.
    InputError
        A setting is missing or contradicts the files.
    """
    settings = settings or Settings()
    target = check_table_path(output)
    files = find_importable(importer, sources)
    if settings.gpu is None and not importer.names_gpu:
        raise InputError(
            f"files of {importer.name} do not say which GPU they were measured on; add --gpu with "
            "its key or alias of the hardware table"
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    tally, emptied, seen = Tally(given=settings.constants), Counter[str](), _Seen()
    series = importer.series(files)
    if left := len(files) - sum(map(len, series)):
        tally.note(f"{counted(left, 'file')} left out: what they say, another file says too")
    files = tuple(file for part in series for file in part)
    firsts = [part[0] for part in series]
    with tempfile.TemporaryDirectory(prefix=f".{target.stem}.", dir=target.parent) as folder:
        stage = Stage(Path(folder) / "rows.arrow", importer.columns)
        with stage.writing() as write:
            for table, file, section in _read_all(importer, series, tally, emptied):
                write(table, file, section)
                if on_rows is not None:
                    on_rows(stage.n_rows)
        assembly = _assemble(importer, stage, settings, tally, firsts)
        write_batches(
            assembly.schema,
            seen.watch(assembly.tables()),
            target,
            _provenance(importer, files, tally),
        )
    return Imported(
        importer=importer,
        files=files,
        n_rows=seen.n_rows,
        filled=dict(seen.filled),
        latencies_ms=seen.latencies(),
        groups={group: tuple(sorted(names)) for group, names in seen.groups.items()},
        refused=dict(tally.refused),
        emptied=dict(+emptied),
        notes=tuple(tally.notes),
        overruled_gpu=assembly.groups.overruled_gpu,
    )


def _read_all(
    importer: Importer, series: Sequence[Sequence[Path]], tally: Tally, emptied: Counter[str]
) -> Iterator[tuple[pa.Table, int, str]]:
    """Give the rows of every series, with its number and section; then raise all that is wrong."""
    problems: list[TraceError] = []
    pieces = 0
    for number, files in enumerate(series):
        cleaner = Cleaner(importer.columns, emptied)
        try:
            for batch in even_batches(importer.batches(files, tally)):
                yield cleaner.clean(batch), number, batch.section
            cleaner.check_units(files[0])
        except TraceError as error:
            problems.append(error)
        pieces += cleaner.pieces
    if pieces:
        tally.note(
            f"{counted(pieces, 'answer')} came in one piece: when the first token was made is not "
            "known, so that t_ttft_ms and t_tpot_ms are left empty"
        )
    if problems:
        violations = tuple(violation for error in problems for violation in error.violations)
        raise TraceError(report(violations), violations)


def _assemble(
    importer: Importer, stage: Stage, settings: Settings, tally: Tally, files: Sequence[Path]
) -> Assembly:
    """Settle what the rows belong to, and count those that are left out."""
    named = f"{files[0]}" + (f" and {len(files) - 1} more" if len(files) > 1 else "")
    survey = survey_rows(stage)
    tally.refused.update(survey.refused)
    if not survey.n_rows:
        reasons = ", ".join(f"{reason}: {count}" for reason, count in tally.refused.items())
        raise TraceError(
            f"{named}: no row can be used ({reasons or 'there is none'}); name files with "
            f"measurements of {importer.title}"
        )
    assembly = Assembly(
        stage=stage,
        groups=settle_groups(settings, survey.named, named),
        constants=settings.constants,
        load=stage.load(),
        runs=_run_names(stage, files),
        filled=survey.filled,
    )
    _check_constants(settings, assembly, named)
    tally.refuse("of another model", assembly.other_models())
    return assembly


def _check_constants(settings: Settings, assembly: Assembly, named: str) -> None:
    """Refuse a constant that the files know better."""
    known = sorted(set(settings.constants) & assembly.told)
    if known:
        raise InputError(f"{named}: the rows say {', '.join(known)} themselves; leave --set out")


def _run_names(stage: Stage, files: Sequence[Path]) -> list[str]:
    """Return a name for each run: its file's, with its section."""
    stems = [file.stem for file in files]
    names = [
        stem if stems.count(stem) == 1 else f"{file.parent.name}/{stem}#{number + 1}"
        for number, (stem, file) in enumerate(zip(stems, files, strict=True))
    ]
    return [f"{names[file]}/{section}" if section else names[file] for file, section in stage.runs]


def _provenance(importer: Importer, files: Sequence[Path], tally: Tally) -> Provenance:
    """Return where the rows come from."""
    return Provenance.model_validate(
        {
            "source": "measured",
            "collected_at": tally.collected_at,
            "tool": f"bayeslat {version('bayeslat')}, import {importer.name}",
            "software": tally.software,
            "imported": {
                "format": importer.name,
                "written_by": importer.title,
                "files": [file.name for file in files],
                "definitions": dict(importer.definitions),
            },
        }
    )


@dataclass(slots=True)
class _Seen:
    """What passes by on its way to the trace."""

    n_rows: int = 0
    filled: Counter[str] = field(default_factory=Counter)
    groups: dict[str, set[str]] = field(default_factory=lambda: {group: set() for group in GROUPS})
    _values: dict[str, list[NDArray[np.float32]]] = field(default_factory=dict)

    def watch(self, tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
        """Give tables on, and count what they hold."""
        for table in tables:
            self.n_rows += table.num_rows
            for name in table.column_names:
                cells = table[name].drop_null()
                self.filled[name] += len(cells)
                if is_stage_column(name):
                    values = cells.to_numpy().astype(np.float32)
                    self._values.setdefault(name, []).append(values)
                elif name in self.groups:
                    self.groups[name].update(cells.unique().to_pylist())
            yield table

    def latencies(self) -> dict[str, NDArray[np.float32]]:
        """Return the values of each latency."""
        return {name: np.concatenate(values) for name, values in self._values.items()}
