"""What an import made of files, for people and for machines."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bayeslat.counted import counted
from bayeslat.report.tables import (
    format_ms,
    make_table,
    open_console,
    print_line,
    print_table,
)
from bayeslat.traces.importers.convert import Imported
from bayeslat.traces.importers.importer import Importer
from bayeslat.traces.importers.vocabulary import VOCABULARY

__all__ = ["import_record", "show_formats", "show_import"]


def import_record(imported: Imported, output: Path) -> dict[str, Any]:
    """Return what became of the files as plain values.

    Parameters
    ----------
    imported : Imported
    output : Path

    Returns
    -------
    dict
        `format`, `files`, `trace`, `rows`, `left_out` (rows by reason), `groups`, `latencies` (one
        for each column, with its definition), `columns` (rows that have a cell), `notes`.
    """
    return {
        "format": imported.importer.name,
        "files": [str(file) for file in imported.files],
        "trace": output,
        "rows": imported.n_rows,
        "left_out": dict(imported.refused),
        "groups": {group: list(names) for group, names in imported.groups.items()},
        "latencies": [
            {
                "column": name,
                "rows": len(values),
                "emptied": imported.emptied.get(name, 0),
                "definition": imported.importer.definitions[name],
                **_quantiles(values),
            }
            for name, values in imported.latencies_ms.items()
        ],
        "columns": dict(imported.filled),
        "notes": list(imported.notes),
    }


def show_import(record: Mapping[str, Any]) -> None:
    """Print what became of the files.

    Parameters
    ----------
    record : mapping
        As `import_record` makes it.
    """
    console = open_console()
    of = "; ".join(", ".join(names) for names in record["groups"].values() if names)
    files = len(record["files"])
    title = f"{counted(record['rows'], 'row')} from {counted(files, 'file')} of {record['format']}"
    table = make_table(["latency", "rows", "5 % ms", "median ms", "95 % ms"])
    for row in record["latencies"]:
        quantiles = (format_ms(row[name]) for name in ("q05_ms", "q50_ms", "q95_ms"))
        table.add_row(row["column"], f"{row['rows']:,}", *quantiles)
    print_table(console, f"{title}: {of}", table)
    for row in record["latencies"]:
        print_line(console, f"{row['column']}: {row['definition']}")
    others = [name for name in record["columns"] if not name.startswith("t_")]
    print_line(console, f"Other columns: {', '.join(others)}")
    console.print()
    _show_left_out(record)
    print_line(console, f"Saved in {record['trace']}")


def show_formats(importers: Iterable[Importer]) -> None:
    """Print what each importer reads, what its latencies mean, and what columns there are.

    Parameters
    ----------
    importers : iterable of Importer
    """
    console = open_console()
    for importer in importers:
        gpu = "" if importer.names_gpu else "; needs --gpu"
        print_line(console, importer.name, style="bold")
        print_line(console, f"  {importer.title}{gpu}")
        for name, definition in importer.definitions.items():
            print_line(console, f"  {name}: {definition}")
        console.print()
    print_line(console, "Columns, as far as a format knows them", style="bold")
    for column in VOCABULARY.values():
        print_line(console, f"  {column.name}: {column.meaning}")


def _show_left_out(record: Mapping[str, Any]) -> None:
    """Print rows that were left out, and cells that were left empty."""
    reasons = [(reason, count) for reason, count in record["left_out"].items()]
    reasons += [
        (f"{row['column']} left empty: not finite and above 0 ms", row["emptied"])
        for row in record["latencies"]
        if row["emptied"]
    ]
    if not reasons:
        return
    console = open_console()
    table = make_table(["left out", "rows"])
    for reason, count in sorted(reasons, key=lambda item: -item[1]):
        table.add_row(reason, f"{count:,}")
    console.print(table)
    console.print()


def _quantiles(values: np.ndarray) -> dict[str, float]:
    """Return quantiles, ms; NaN without values."""
    levels = (0.05, 0.5, 0.95)
    found = np.quantile(values, levels) if len(values) else np.full(len(levels), np.nan)
    return {
        f"q{100 * level:02.0f}_ms": float(value) for level, value in zip(levels, found, strict=True)
    }
